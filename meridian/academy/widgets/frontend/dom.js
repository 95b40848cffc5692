const CONTROLS = new Set(["button", "input", "summary", "textarea"]);

// An element with attributes and children. Attribute `html` is parsed, everything else is text.
function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "html") element.innerHTML = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  // JupyterLab must not take arrows, Enter and letters for commands while a control has focus; it
  // looks for this mark on the focused element itself.
  if (CONTROLS.has(tag)) element.setAttribute("data-lm-suppress-shortcuts", "true");
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}
