// Sampling, and filling holes.

import { stream } from "./api.js";
import { choice, el, errorLine, fresh, numberField, plural, runner, say } from "./dom.js";
import { Editor } from "./editor.js";
import { legendList, Player } from "./examples.js";

// The numbers of steps that a model takes; of its own `offers`, see app.js.
const stepsOf = (model) => model.offers.num_steps.filter((n) => n <= (model.num_steps ?? Infinity));

// As many steps as are wanted, or as near as the model comes to it from below.
export const fewer = (model, wanted) => Math.max(stepsOf(model)[0], ...stepsOf(model).filter((n) => n <= wanted));

// What samples and completions have in common: how many, how carefully, by which labels, by which seed.
export function drawControls(model, many) {
  const number = choice(many, [1, 2, 4, 8, 16].filter((n) => n <= model.offers.most_samples).map((n) => [n, n]), model.defaults.num_samples);
  const nodes = [number.node];
  const inputs = [["num_samples", number.input, Number]];
  if (model.iterative) {
    const steps = choice("Steps", stepsOf(model).map((n) => [n, n]), model.defaults.num_steps);
    nodes.push(steps.node);
    inputs.push(["num_steps", steps.input, Number]);
  }
  const temperature = choice("Temperature", model.offers.temperature.map((t) => [t, t === 1 ? "1 (as trained)" : t]), 1);
  nodes.push(temperature.node);
  inputs.push(["temperature", temperature.input, Number]);
  const labels = model.labels.map(({ name, values }) => {
    const field = choice(name, [["", "any"], ...values.map((value) => [`${name}=${value}`, value])], "");
    nodes.push(field.node);
    return field.input;
  });
  const guidance = model.guided ? choice("Strength of labels", model.offers.guidance.map((g) => [g, g]), 1) : null;
  if (guidance) nodes.push(guidance.node);
  const seed = numberField("Seed", 0, Number.MAX_SAFE_INTEGER);
  nodes.push(seed.node);
  inputs.push(["seed", seed.input, Number]);
  const values = () => {
    const found = Object.fromEntries(inputs.map(([name, input, as]) => [name, as(input.value)]));
    const given = labels.map((input) => input.value).filter(Boolean);
    if (given.length) found.labels = given;
    if (given.length && guidance && guidance.input.value !== "1") found.guidance = Number(guidance.input.value);
    return found;
  };
  return { nodes, values, seed: seed.input };
}

// Draws by stream, and shows it as it comes.
export async function watch(player, path, body, number, signal, progress, given) {
  player.clear();
  player.expect(number);
  progress.textContent = "Asking…";
  const patience = setTimeout(() => { progress.textContent = "Getting ready: the first draw of its kind is compiled, which takes a while."; }, 2500);
  const started = performance.now();
  try {
    const done = await stream(path, body, signal, (name, content) => {
      if (name === "queued" && content.waiting) progress.textContent = `Waiting: ${plural(content.waiting, "request")} before this one.`;
      if (name !== "state") return;
      if (content.share > 0) clearTimeout(patience);
      if (content.share > 0) progress.textContent = `Drawing: ${Math.round(100 * content.share)}%`;
      player.add(content.share, content.examples);
    });
    player.end(done.examples, given);
    const seconds = (performance.now() - started) / 1000;
    const law = done.law.charAt(0).toUpperCase() + done.law.slice(1);
    progress.textContent = `${law}. ${seconds.toFixed(1)} s.`;
    say(`Done: ${plural(number, "example")} in ${seconds.toFixed(1)} seconds.`);
    return done;
  } catch (error) {
    progress.textContent = error.name === "AbortError" ? "Stopped." : "";
    throw error;
  } finally {
    clearTimeout(patience);
  }
}

export function samplePanel(model, go) {
  const controls = drawControls(model, "Samples");
  const button = el("button", { type: "button", class: "main" }, "Draw");
  const again = el("button", { type: "button", onclick: () => { controls.seed.value = 1 + Math.floor(Math.random() * 1e6); run.run(); } }, "Another seed");
  const error = errorLine(), progress = el("p", { class: "line" });
  const actions = (example) => (model.can.infill && model.example !== "row" && model.example !== "array"
    ? [el("button", { type: "button", class: "quiet small", onclick: () => go("infill", example) }, "Change it")] : []);
  const player = new Player(model, actions);
  const run = runner(button, error, async (signal) => {
    const body = controls.values();
    say("Drawing.");
    await watch(player, "api/sample", { model: model.name, ...body }, body.num_samples, signal, progress);
  });
  return {
    node: el("div", {}, el("p", { class: "lead" }, model.words.lead),
      el("div", { class: "controls" }, ...controls.nodes, button, again), error, player.node,
      model.example === "map" ? legendList(model) : null, progress),
    leave: () => { run.stop(); player.pause(); },
    redraw: () => { if (player.frames.length || player.final) player.render(Math.max(0, Number(player.slider.value))); },
  };
}

export function infillPanel(model) {
  const controls = drawControls(model, "Completions");
  const button = el("button", { type: "button", class: "main" }, "Fill in");
  const error = errorLine(), progress = el("p", { class: "line" });
  const player = new Player(model, (example) => (editor ? [el("button", { type: "button", class: "quiet small", onclick: () => editor.set(example) }, "Go on from it")] : []));
  const editor = model.example === "map" ? new Editor(model) : null;
  const text = editor ? null : textInput(model);
  const run = runner(button, error, async (signal) => {
    const body = controls.values();
    const example = editor ? editor.map : text.value();
    const given = editor || model.example !== "text" ? null : example;
    say("Filling in.");
    await watch(player, "api/infill", { model: model.name, example, ...body }, body.num_samples, signal, progress, given);
  });
  return {
    node: el("div", {}, el("p", { class: "lead" }, infillLead(model)), editor ? editor.node : text.node,
      el("div", { class: "controls" }, ...controls.nodes, button), error, player.node, progress),
    leave: () => { run.stop(); player.pause(); },
    take: (example) => { if (editor) editor.set(example); else text.set(example); },
    redraw: () => { editor?.paint(); if (player.frames.length || player.final) player.render(Math.max(0, Number(player.slider.value))); },
  };
}

function infillLead(model) {
  if (model.example === "map") return "Paint what you know and leave the rest open: the model draws it. Rub out a part of a sample to have it drawn anew.";
  if (model.example === "text" && model.can.prefix_only) return "Write a beginning; this model can only go on from there.";
  if (model.example === "text") return "Write a text with a gap of as many _ as letters are missing. What follows the text is filled in as well.";
  return "Give a row with _ in each cell to fill, or a list of categories with -1 in each place to fill.";
}

function textInput(model) {
  const id = fresh("pattern"), hint = fresh("hint");
  const start = model.example === "text"
    ? (model.can.prefix_only ? shortened(model, "the history of the ", 1) : shortened(model, "the ______ of the world is a _________ in the history of"))
    : model.example === "row" ? JSON.stringify(Object.fromEntries(model.columns.map((name) => [name, "_"])), null, 1)
      : JSON.stringify(arrayOf(model, -1));
  const area = el("textarea", { id, rows: model.example === "row" ? 10 : 3, spellcheck: "false", "aria-describedby": hint });
  area.value = start;
  const note = el("p", { class: "hint", id: hint });
  const fit = () => { note.replaceChildren(...fitNotes(model, area.value)); };
  area.addEventListener("input", fit);
  fit();
  const value = () => {
    if (model.example === "text") return fitted(model, area.value);
    try { return JSON.parse(area.value); } catch { throw new Error("This is no JSON: check commas and quotes."); }
  };
  const node = el("div", { class: "field" }, el("label", { for: id }, model.example === "text" ? "Text with gaps" : "As JSON"), area, note);
  node.style.marginBottom = "1rem";
  return { node, value, set: (example) => { area.value = example; fit(); area.focus(); } };
}

// An example of an array with one number everywhere.
export const arrayOf = (model, number) => model.shape.reduceRight((part, size) => Array(size).fill(part), number);

// A text to begin with, no longer than the model takes; so many positions are left free.
export function shortened(model, text, free = 0) {
  return Array.from(text).slice(0, model.longest - free).join("");
}

// How long a text is and may be; how many tokens there are only the server knows.
export function room(model, text) {
  const most = `${model.longest} ${model.counted}s`;
  if (model.counted === "token") return `At most ${most}`;
  return `${model.counted === "byte" ? new TextEncoder().encode(text).length : Array.from(text).length} of ${most}`;
}

// A text in the alphabet of the model: small letters where it has no capitals, spaces for what it does not know.
export function fitted(model, text) {
  if (!model.alphabet) return text.replace(/\n+$/, "");
  const known = new Set(model.alphabet + "_");
  const other = known.has(" ") ? " " : "";
  return Array.from(text.replace(/\n+$/, ""), (c) => (known.has(c) ? c : known.has(c.toLowerCase()) ? c.toLowerCase() : other)).join("");
}

export function fitNotes(model, text) {
  if (model.example !== "text") return [];
  const same = fitted(model, text) === text.replace(/\n+$/, "");
  return [
    el("span", {}, same ? "" : "Signs that the model does not know are taken for small letters or spaces."),
    el("span", {}, room(model, text)),
  ];
}
