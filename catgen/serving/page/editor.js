// A map that is painted: by pointer, or with the arrow keys and the space bar.

import { el, fresh, say } from "./dom.js";
import { drawMap } from "./examples.js";

const UNKNOWN = -1;

export class Editor {
  constructor(model) {
    this.model = model;
    const [height, width] = model.shape;
    this.map = Array.from({ length: height }, () => Array(width).fill(UNKNOWN));
    this.brush = 0;
    this.radius = Math.max(1, Math.round(Math.min(height, width) / 8));
    this.cursor = [Math.floor(height / 2), Math.floor(width / 2)];
    this.last = null;
    this.history = [];
    const hint = fresh("keys");
    this.canvas = el("canvas", {
      width, height, tabindex: 0, role: "application", "aria-roledescription": "map to paint", "aria-describedby": hint,
      "aria-label": `Map of ${height} by ${width}`,
      onpointerdown: (event) => this.press(event), onpointermove: (event) => this.move(event), onpointerup: () => { this.last = null; },
      onpointercancel: () => { this.last = null; }, onkeydown: (event) => this.key(event), onblur: () => this.paint(), onfocus: () => this.paint(),
    });
    this.node = el("div", { class: "studio" },
      el("div", { class: "board" }, this.canvas,
        el("p", { class: "hint", id: hint }, "Drag to paint. With the keyboard: arrows move, space paints.")),
      el("div", {}, this.palette(), this.size(), this.buttons()));
    this.paint();
  }

  palette() {
    const name = fresh("brush");
    const entry = (category, text, color) => {
      const input = el("input", { type: "radio", name, value: category, checked: category === this.brush, onchange: () => { this.brush = category; } });
      const swatch = el("span", { class: color ? "swatch" : "swatch unknown" });
      if (color) swatch.style.background = color;
      return el("label", {}, input, swatch, text);
    };
    return el("fieldset", { class: "palette" }, el("legend", {}, "Paint with"),
      entry(UNKNOWN, "open"), ...this.model.legend.map(({ name: text, color }, category) => entry(category, text, color)));
  }

  size() {
    const id = fresh("size");
    const input = el("input", { id, type: "range", min: 1, max: Math.max(2, Math.round(Math.min(...this.model.shape) / 3)), value: this.radius });
    input.addEventListener("input", () => { this.radius = Number(input.value); });
    return el("div", { class: "field" }, el("label", { for: id }, "Size of the brush"), input);
  }

  buttons() {
    const all = () => { this.keep(); this.map.forEach((row) => row.fill(UNKNOWN)); this.paint(); say("All open."); };
    const undo = () => { if (this.history.length) { this.map = this.history.pop(); this.paint(); say("Undone."); } };
    return el("div", { class: "stack" }, el("button", { type: "button", class: "small", onclick: undo }, "Undo"),
      el("button", { type: "button", class: "small", onclick: all }, "Clear"));
  }

  keep() {
    this.history.push(this.map.map((row) => [...row]));
    if (this.history.length > 50) this.history.shift();
  }

  set(map) {
    this.keep();
    this.map = map.map((row) => [...row]);
    this.paint();
    this.node.scrollIntoView({ block: "nearest" });
  }

  paint() {
    drawMap(this.canvas, this.model, this.map);
    if (document.activeElement !== this.canvas || !this.canvas.matches(":focus-visible")) return;
    const context = this.canvas.getContext("2d");
    context.fillStyle = "#ff00aa";
    context.fillRect(this.cursor[1], this.cursor[0], 1, 1);
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect(), [height, width] = this.model.shape;
    const scale = Math.min(box.width / width, box.height / height);
    const left = box.left + (box.width - scale * width) / 2, top = box.top + (box.height - scale * height) / 2;
    return [Math.floor((event.clientY - top) / scale), Math.floor((event.clientX - left) / scale)];
  }

  press(event) {
    event.preventDefault();
    this.canvas.focus({ focusVisible: false });
    this.canvas.setPointerCapture(event.pointerId);
    this.keep();
    this.last = this.place(event);
    this.stroke(this.last, this.last);
  }

  move(event) {
    if (!this.last) return;
    const next = this.place(event);
    this.stroke(this.last, next);
    this.last = next;
  }

  stroke([y0, x0], [y1, x1]) {
    const steps = Math.max(1, Math.abs(y1 - y0), Math.abs(x1 - x0));
    for (let i = 0; i <= steps; i += 1) this.dab(Math.round(y0 + ((y1 - y0) * i) / steps), Math.round(x0 + ((x1 - x0) * i) / steps));
    this.paint();
  }

  dab(row, column) {
    const [height, width] = this.model.shape, reach = this.radius - 1;
    for (let y = Math.max(0, row - reach); y <= Math.min(height - 1, row + reach); y += 1) {
      for (let x = Math.max(0, column - reach); x <= Math.min(width - 1, column + reach); x += 1) {
        if ((y - row) ** 2 + (x - column) ** 2 <= reach * reach + 0.5) this.map[y][x] = this.brush;
      }
    }
  }

  key(event) {
    const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    const [height, width] = this.model.shape;
    if (moves[event.key]) {
      const [dy, dx] = moves[event.key];
      this.cursor = [Math.min(height - 1, Math.max(0, this.cursor[0] + dy)), Math.min(width - 1, Math.max(0, this.cursor[1] + dx))];
    } else if (event.key === " " || event.key === "Enter") {
      this.keep();
      this.dab(...this.cursor);
    } else return;
    event.preventDefault();
    this.paint();
    const [row, column] = this.cursor;
    say(`Row ${row + 1}, column ${column + 1}: ${this.model.legend[this.map[row][column]]?.name ?? "open"}`);
  }
}
