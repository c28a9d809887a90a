// How an example is shown: text, map, row or array, whole or on its way.

import { el, fresh } from "./dom.js";

const MASK = "\u2591";

// Each kind: make(number) -> { node, show(example, before), settle(example) }.
export function view(model) {
  if (model.example === "text") return textView;
  if (model.example === "map") return mapView(model);
  return plainView(model);
}

// Runs of characters of one class, so that a sample is a few nodes and not hundreds.
export function runs(text, classOf) {
  const nodes = [];
  let start = 0;
  const characters = Array.from(text);
  for (let i = 1; i <= characters.length; i += 1) {
    if (i < characters.length && classOf(i) === classOf(start)) continue;
    const part = characters.slice(start, i).join("");
    const name = classOf(start);
    nodes.push(name ? el("span", { class: name }, part) : part);
    start = i;
  }
  return nodes;
}

function textView() {
  const node = el("p", { class: "text" });
  return {
    node,
    show(text, before) {
      const now = Array.from(text), old = before === undefined ? null : Array.from(before);
      node.replaceChildren(...runs(text, (i) => (now[i] === MASK ? "veil" : old && old[i] !== now[i] ? "new" : "")));
    },
    settle(text, given) {
      const known = given ? Array.from(given) : null;
      node.replaceChildren(...(known ? runs(text, (i) => (i < known.length && known[i] !== "_" ? "was" : "")) : [text]));
    },
  };
}

function mapView(model) {
  return (number) => {
    const [height, width] = model.shape;
    const canvas = el("canvas", { width, height, role: "img" });
    const paint = (map) => {
      drawMap(canvas, model, map);
      canvas.setAttribute("aria-label", `Map ${number}: ${shares(model, map)}`);
    };
    return { node: canvas, show: paint, settle: paint };
  };
}

function plainView(model) {
  return () => {
    const node = el("div", { class: "scroll" });
    const settle = (example) => {
      if (Array.isArray(example)) node.replaceChildren(el("p", { class: "text" }, example.flat(Infinity).join(" ")));
      else node.replaceChildren(rowTable(model, example));
    };
    return { node, show: settle, settle };
  };
}

function rowTable(model, row) {
  const names = model.columns ?? Object.keys(row);
  return el("table", {},
    el("thead", {}, el("tr", {}, ...names.map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, el("tr", {}, ...names.map((name) => el("td", {}, String(row[name] ?? ""))))));
}

function rgb(color) {
  return [1, 3, 5].map((i) => parseInt(color.slice(i, i + 2), 16));
}

const tables = new WeakMap();
function colorsOf(model) {
  if (!tables.has(model)) tables.set(model, model.legend.map(({ color }) => rgb(color)));
  return tables.get(model);
}

// What has no category is a checkerboard, which no legend has.
export function drawMap(canvas, model, map) {
  const [height, width] = model.shape;
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  const dark = document.documentElement.dataset.theme === "dark";
  const blank = dark ? [[43, 48, 54], [35, 39, 44]] : [[229, 231, 235], [250, 250, 250]];
  const colors = colorsOf(model);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const [r, g, b] = colors[map[y][x]] ?? blank[(x + y) % 2];
      image.data.set([r, g, b, 255], 4 * (y * width + x));
    }
  }
  context.putImageData(image, 0, 0);
}

export function shares(model, map) {
  const counts = new Map();
  for (const category of map.flat()) counts.set(category, (counts.get(category) ?? 0) + 1);
  const total = model.shape[0] * model.shape[1];
  const named = [...counts].sort((a, b) => b[1] - a[1]).slice(0, 4);
  return named.map(([c, n]) => `${Math.round((100 * n) / total)}% ${model.legend[c]?.name ?? "unknown"}`).join(", ");
}

export function legendList(model) {
  const entries = model.legend.map(({ name, color }) => {
    const swatch = el("span", { class: "swatch" });
    swatch.style.background = color;
    return el("li", {}, swatch, name);
  });
  const blank = model.words.start !== "noise"; // else each pixel has a category at all times
  return el("ul", { class: "legend", "aria-label": "Colours" }, ...entries,
    blank ? el("li", {}, el("span", { class: "swatch unknown" }), "not drawn yet") : null);
}

// Examples with their way to them, and a slider through it.
export class Player {
  constructor(model, actions = () => []) {
    this.model = model;
    this.actions = actions;
    this.list = el("ul", { class: `samples${model.example === "map" ? " maps" : ""}` });
    this.slider = el("input", { type: "range", min: 0, max: 0, value: 0, id: fresh("time"), "aria-label": `Time, from ${model.words.start} to the sample` });
    this.output = el("output", { for: this.slider.id });
    this.button = el("button", { type: "button", class: "small", onclick: () => this.play() }, "Play");
    this.timeline = el("div", { class: "timeline", hidden: true }, this.button, this.slider, this.output);
    this.node = el("div", { class: "player" }, this.timeline, this.list);
    this.slider.addEventListener("input", () => {
      this.pause();
      this.render(Math.min(Number(this.slider.value), this.frames.length - 1));
    });
    this.states = 24;
    this.timer = null;
    this.clear();
  }

  clear() {
    this.pause();
    this.frames = [];
    this.final = null;
    this.given = null;
    this.views = [];
    this.timeline.hidden = true;
  }

  // Makes room, before anything is drawn, so that the page does not jump.
  expect(number) {
    const make = view(this.model);
    this.views = Array.from({ length: number }, (_, i) => make(i + 1));
    this.bars = this.views.map(() => el("div", { class: "actions" }));
    this.list.replaceChildren(...this.views.map((each, i) => el("li", {}, each.node, this.bars[i])));
    if (this.model.example === "map") this.list.style.setProperty("--cell", this.model.shape[1] > 40 ? "17rem" : "11rem");
  }

  add(share, examples) {
    if (!examples.length) return;
    this.frames.push({ share, examples });
    this.timeline.hidden = this.frames.length < 2;
    this.render(this.frames.length - 1);
  }

  end(examples, given) {
    if (examples.length !== this.views.length) this.expect(examples.length);
    this.final = examples;
    this.given = given ?? null;
    if (this.frames.length) this.frames.push({ share: 1, examples });
    this.timeline.hidden = this.frames.length < 2;
    this.render(this.frames.length - 1);
    this.bars.forEach((bar, i) => bar.replaceChildren(...this.actions(examples[i])));
  }

  render(index) {
    const last = this.final && index === this.frames.length - 1;
    this.views.forEach((each, i) => {
      if (last || !this.frames.length) each.settle(this.final[i], this.given);
      else each.show(this.frames[index].examples[i], this.frames[index - 1]?.examples[i]);
    });
    this.slider.max = Math.max(0, this.final ? this.frames.length - 1 : Math.max(this.states, this.frames.length) - 1);
    this.slider.value = Math.max(0, index);
    const share = this.frames[index]?.share ?? 1;
    this.output.textContent = share === 0 ? this.model.words.start : share === 1 ? "sample" : `${Math.round(100 * share)}% of the way`;
    this.slider.setAttribute("aria-valuetext", this.output.textContent);
  }

  pause() {
    clearInterval(this.timer);
    this.timer = null;
    if (this.button) this.button.textContent = "Play";
  }

  play() {
    if (this.timer) { this.pause(); return; }
    let index = Number(this.slider.value);
    if (index >= this.frames.length - 1) index = -1;
    this.button.textContent = "Pause";
    this.timer = setInterval(() => {
      index += 1;
      this.render(index);
      if (index >= this.frames.length - 1) this.pause();
    }, 110);
  }
}
