/** Keeps the end of a list in sight while its reader is there, and leaves a reader further up alone. */

const NEAR = 40;

export class Follow {
  #scroller;
  #following = true;

  /** content: the list inside of `scroller`. */
  constructor(scroller, content) {
    this.#scroller = scroller;
    scroller.addEventListener("scroll", () => {
      this.#following = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR;
    });
    const observer = new ResizeObserver(() => {
      if (this.#following) this.toEnd();
    });
    observer.observe(scroller);
    observer.observe(content);
  }

  /** Go to the end and stay there. */
  toEnd() {
    this.#following = true;
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
  }
}
