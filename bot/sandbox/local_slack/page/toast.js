/** A short note at the edge of the page, for what went wrong and has no better place. */

import { element } from "./dom.js";

const SECONDS = 8;

/** Show `text` for some seconds in `region`, a live region (so it is read out as well) and a popover. */
export function toast(region, text) {
  const note = element("p", { class: "toast" }, text);
  region.append(note);
  // Shown anew each time, to be above a modal that opened meanwhile.
  region.hidePopover();
  region.showPopover();
  setTimeout(() => {
    note.remove();
    if (!region.hasChildNodes()) region.hidePopover();
  }, SECONDS * 1000);
}
