// Elements are made of texts, never of HTML: nothing that a record says is read as markup.

function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

function draw(tag, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

const find = (id) => document.getElementById(id);

// plotly reads a part of HTML in its texts: there, a record's text is escaped.
const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

const NONE = "–";
const MINUS = "−";

function number(value, decimals) {
  if (!known(value)) return NONE;
  return value.toFixed(decimals).replace(/^-(?=.*[1-9])/, MINUS).replace(/^-/, "");
}

// Whether there is a number: a score may be undefined, and have no interval.
const known = (value) => value !== null && value !== undefined;

function headRow(titles, words) {
  // The head of a table, whose first columns hold words and the others numbers.
  const kind = (place) => (place < words ? null : "numeric");
  const cells = titles.map((title, place) => make("th", { scope: "col", class: kind(place) }, title));
  return make("thead", {}, make("tr", {}, cells));
}

const unique = (values) => [...new Set(values)];

function choose(select, options, chosen, all) {
  // options: [value, title]; gives the value that is chosen then.
  const items = all === undefined ? options : [["", all], ...options];
  select.replaceChildren(...items.map(([value, title]) => make("option", { value }, title)));
  select.value = items.some(([value]) => value === chosen) ? chosen : (items[0] || [""])[0];
  select.disabled = items.length < 2;
  return select.value;
}
