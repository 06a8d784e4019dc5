// Elements that several views create.

/** Returns an element with a class name and a text. */
export function createElement(tag, className, text = "") {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

/** Returns a figure around `content`, and its caption. */
export function createFigure(content, text) {
  const figure = document.createElement("figure"), caption = createElement("figcaption", "", text);
  figure.append(content, caption);
  return [figure, caption];
}
