/** The question that Slack asks before a button or a choice with `confirm` goes out. */

import { element } from "./dom.js";
import { drawText } from "./mrkdwn.js";

let asked = 0;

/** Whether the person confirmed. True at once where there is nothing to ask. */
export async function confirmed(question, directory) {
  if (!question) return true;
  asked += 1;
  const id = `question-${asked}`;
  const style = question.style === "danger" ? "danger" : "primary";
  const answer = (value) => () => dialog.close(value);
  const dialog = element(
    "dialog",
    {
      class: "question",
      "data-testid": "dialog",
      role: "alertdialog",
      "aria-labelledby": `${id}-title`,
      "aria-describedby": `${id}-text`,
    },
    element("h2", { id: `${id}-title` }, drawText(question.title, directory)),
    element("div", { class: "text", id: `${id}-text` }, drawText(question.text, directory)),
    element(
      "div",
      { class: "dialog-buttons" },
      // The harmless answer has the focus: Enter pressed by habit does nothing that costs money.
      element(
        "button",
        {
          type: "button",
          class: "button",
          "data-testid": "confirm-cancel",
          autofocus: true,
          onclick: answer("no"),
        },
        drawText(question.deny, directory),
      ),
      element(
        "button",
        { type: "button", class: `button ${style}`, "data-testid": "confirm-accept", onclick: answer("yes") },
        drawText(question.confirm, directory),
      ),
    ),
  );
  document.body.append(dialog);
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    dialog.showModal();
  });
}
