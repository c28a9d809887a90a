// Correcting while one types, scoring lines, comparing two models.

import { post } from "./api.js";
import { choice, debounced, el, errorLine, fresh, plural, runner, say } from "./dom.js";
import { arrayOf, drawControls, fewer, fitNotes, fitted, shortened, watch } from "./drawing.js";
import { legendList, Player } from "./examples.js";

export function correctPanel(model) {
  const id = fresh("typed"), hint = fresh("hint");
  const area = el("textarea", { id, rows: 3, spellcheck: "false", autocapitalize: "off", "aria-describedby": hint });
  area.value = shortened(model, "the fist battle of the wat was fougt in the summar of the yeat");
  const note = el("p", { class: "hint", id: hint }), error = errorLine();
  const text = el("p", { class: "text" }), told = el("p", { class: "line" });
  const result = el("div", { class: "result", role: "region", "aria-label": "Corrected", "aria-live": "polite" }, text);
  const rate = choice("How many letters may be wrong", model.offers.error_rate.map((r) => [r, `${Math.round(100 * r)} in 100`]), 0.1);
  const reading = model.corrections[0] === "channel" ? "Reading letter by letter; " : "Getting ready: ";
  let controller = null;
  async function run() {
    controller?.abort();
    note.replaceChildren(...fitNotes(model, area.value));
    const sent = fitted(model, area.value);
    if (!sent.trim()) { text.replaceChildren(); told.textContent = "Type something."; return; }
    const mine = new AbortController();
    controller = mine;
    result.classList.add("stale");
    const patience = setTimeout(() => { told.textContent = `${reading}the first correction is compiled, which takes a while.`; }, 1500);
    try {
      const found = await post("api/correct", { model: model.name, example: sent, error_rate: Number(rate.input.value) }, mine.signal);
      error.textContent = "";
      show(found);
    } catch (problem) {
      if (problem.name !== "AbortError") { error.textContent = problem.message; told.textContent = ""; }
    } finally {
      clearTimeout(patience);
      if (controller === mine) result.classList.remove("stale");
    }
  }
  function show(found) {
    const changed = new Map(found.changes.map((change) => [change.place, change]));
    const characters = found.characters ?? [found.corrected];
    text.replaceChildren(...characters.map((character, i) => {
      const change = changed.get(i);
      if (!change) return character;
      const shown = character === " " ? "\u00b7" : character;
      return el("ins", { title: `was ${JSON.stringify(change.from)}; ${Math.round(100 * change.probability)}% sure` }, shown);
    }));
    const number = found.changes.length;
    const list = found.changes.slice(0, 12).map(({ from, to, probability }) => `${quoted(from)} \u2192 ${quoted(to)} (${Math.round(100 * probability)}% sure)`);
    told.textContent = number ? `${plural(number, "change")}: ${list.join(", ")}${number > 12 ? ", \u2026" : ""}` : "Nothing to change.";
  }
  const later = debounced(250, run);
  area.addEventListener("input", later);
  rate.input.addEventListener("change", run);
  note.replaceChildren(...fitNotes(model, area.value));
  return {
    node: el("div", {}, el("p", { class: "lead" }, "Type with mistakes: what the model would rather read appears below, as you type. Positions keep their place; letters are replaced, not added."),
      el("div", { class: "controls" }, rate.node), el("div", { class: "field" }, el("label", { for: id }, "Your sentence"), area, note), error, result, told),
    enter: run,
    leave: () => controller?.abort(),
  };
}

const quoted = (character) => (character === " " ? "space" : character);
const SENTENCES = ["the history of the united states", "colorless green ideas sleep furiously", "hte hsitory fo hte untied staets", "zxq qqz jjx vvw kkq"];

function linesField(model, label) {
  const id = fresh("lines"), hint = fresh("hint");
  const example = model.example === "row" ? Object.fromEntries(model.columns.map((name) => [name, "\u2026"])) : arrayOf(model, 0);
  const placeholder = model.example === "text" ? null : JSON.stringify(example);
  const area = el("textarea", { id, rows: 6, spellcheck: "false", "aria-describedby": hint, placeholder });
  area.value = model.example === "text" ? SENTENCES.map((line) => shortened(model, line)).join("\n") : "";
  const lines = () => area.value.split("\n").map((line) => fitted(model, line)).filter((line) => line.trim());
  const value = () => {
    if (model.example === "text") return lines();
    try { return lines().map((line) => JSON.parse(line)); } catch { throw new Error("Each line has to be JSON: a row, an array or a map."); }
  };
  const what = model.example === "text" ? "One example a line" : "One example a line, as JSON";
  const node = el("div", { class: "field" }, el("label", { for: id }, label ?? what), area,
    el("p", { class: "hint", id: hint }, `At most ${model.offers.most_lines} lines of ${model.example === "text" ? `${model.longest} ${model.counted}s` : `${model.shape.join(" \u00d7 ")} ${model.position}s`}.`));
  return { node, value, shown: () => (model.example === "text" ? lines() : area.value.split("\n").filter((line) => line.trim())) };
}

function bar(share, start = 0, other = false) {
  const mark = el("i", { class: other ? "other" : "" });
  mark.style.left = `${100 * start}%`;
  mark.style.width = `${100 * share}%`;
  return el("span", { class: "track", "aria-hidden": "true" }, mark);
}

const bits = (value) => (value === null ? "impossible" : value.toFixed(3));
const error = (value) => (value === null ? "" : value === 0 ? "exact" : `± ${value.toFixed(3)}`);

function table(head, rows) {
  const cells = (row, name) => row.map(([text, kind]) => el(name, { class: kind ?? "", scope: name === "th" ? "col" : null }, text));
  return el("div", { class: "scroll" }, el("table", {}, el("thead", {}, el("tr", {}, ...cells(head, "th"))),
    el("tbody", {}, ...rows.map((row) => el("tr", {}, ...cells(row, "td"))))));
}

export function scorePanel(model) {
  const field = linesField(model), problem = errorLine(), told = el("div");
  const button = el("button", { type: "button", class: "main" }, "Score");
  const choose = model.estimators.length > 1 ? choice("Estimator", model.estimators.map((name) => [name, name]), model.estimators[0]) : null;
  const draws = model.estimators.includes("elbo") ? choice("Draws (more: less noise)", model.offers.num_draws.map((n) => [n, n]), 4) : null;
  const run = runner(button, problem, async (signal) => {
    const body = { model: model.name, examples: field.value() };
    if (choose) body.estimator = choose.input.value;
    if (draws) body.num_draws = Number(draws.input.value);
    const shown = field.shown(), found = await post("api/score", body, signal);
    const most = Math.max(...found.scores.map((each) => each.bits ?? 0), 1e-9);
    const head = [["Example"], [found.unit, "number"], [found.bound ? "± of the draws" : "", "number"], [""]];
    const rows = found.scores.map((each, i) => [[shown[i], "wide"], [bits(each.bits), "number"], [error(each.monte_carlo_error), "number"], [bar((each.bits ?? 0) / most)]]);
    const how = found.bound ? `An upper bound (${found.estimator}), ${plural(found.num_draws, "draw")} in ${found.num_replicates} replicates, the same for all lines` : "Exact";
    const all = found.all.data_error === null ? bits(found.all.bits) : `${bits(found.all.bits)} ± ${found.all.data_error.toFixed(3)}`;
    told.replaceChildren(table(head, rows), el("p", { class: "line" }, `${how}. All together: ${all} ${found.unit}. Fewer bits: more probable. ${found.seconds.toFixed(2)} s.`));
    say(`Scored ${plural(rows.length, "line")}.`);
  });
  return {
    node: el("div", {}, el("p", { class: "lead" }, "How probable is each line? The fewer bits a position takes, the less it surprises the model."), field.node,
      el("div", { class: "controls spaced" }, choose?.node, draws?.node, button), problem, told),
    leave: run.stop,
  };
}

export function comparePanel(model, models) {
  const rivals = models.filter((each) => each !== model && each.example === model.example && each.position === model.position);
  const rival = choice("Beside", rivals.map((each) => [each.name, each.name]), rivals[0].name);
  const other = () => rivals.find((each) => each.name === rival.input.value);
  const scores = model.example === "map" ? null : compareScores(model, other);
  const samples = compareSamples(model, other);
  rival.input.addEventListener("change", () => { scores?.clear(); samples.clear(); });
  const told = scores ? "what they draw, and how probable they find the same lines" : "what they draw";
  return {
    node: el("div", {}, el("p", { class: "lead" }, `${model.name} and another model: ${told}.`),
      el("div", { class: "controls" }, rival.node), samples.node, scores?.node),
    leave: () => { samples.leave(); scores?.leave(); },
    redraw: samples.redraw,
  };
}

function compareSamples(model, other) {
  const controls = drawControls({ ...model, labels: [], guided: false, defaults: { ...model.defaults, num_samples: 2 } }, "Samples of each");
  const button = el("button", { type: "button", class: "main" }, "Draw from both"), problem = errorLine(), both = el("div", { class: "pair" }), colors = el("div");
  let players = [];
  const run = runner(button, problem, async (signal) => {
    const pair = [model, other()], body = controls.values(), lines = pair.map(() => el("p", { class: "line" }));
    players = pair.map((each) => new Player(each));
    const maps = model.example === "map", alike = JSON.stringify(pair[0].legend) === JSON.stringify(pair[1].legend);
    both.replaceChildren(...pair.map((each, i) => el("section", {}, el("h2", {}, each.name), players[i].node, maps && !alike ? legendList(each) : null, lines[i])));
    colors.replaceChildren(...(maps && alike ? [legendList(model)] : []));
    await Promise.all(pair.map((each, i) => {
      const own = { ...body, model: each.name };
      if (!each.iterative) delete own.num_steps;
      else own.num_steps = own.num_steps ? fewer(each, own.num_steps) : each.defaults.num_steps;
      return watch(players[i], "api/sample", own, body.num_samples, signal, lines[i]);
    }));
  });
  return {
    node: el("section", { "aria-label": "Samples of both" }, el("div", { class: "controls" }, ...controls.nodes, button), problem, both, colors),
    clear: () => { run.stop(); both.replaceChildren(); colors.replaceChildren(); players = []; },
    leave: () => { run.stop(); players.forEach((player) => player.pause()); },
    redraw: () => players.forEach((player) => { if (player.frames.length) player.render(Number(player.slider.value)); }),
  };
}

function compareScores(model, other) {
  const field = linesField(model, "Lines that both score"), problem = errorLine(), told = el("div");
  const button = el("button", { type: "button", class: "main" }, "Score by both");
  const run = runner(button, problem, async (signal) => {
    const rival = other(), shown = field.shown();
    const found = await post("api/compare", { models: [model.name, rival.name], examples: field.value() }, signal);
    const gap = found.first.scores.map((each, i) => (each.bits === null || found.second.scores[i].bits === null ? null : each.bits - found.second.scores[i].bits));
    const most = Math.max(...gap.map((each) => Math.abs(each ?? 0)), 1e-9);
    const head = [["Example"], [model.name, "number"], [rival.name, "number"], ["Difference", "number"], [`Fewer bits: \u2190 ${model.name}, ${rival.name} \u2192`]];
    const rows = found.first.scores.map((each, i) => {
      const share = Math.abs(gap[i] ?? 0) / most / 2;
      return [[shown[i], "wide"], [marked(found.first, i), "number"], [marked(found.second, i), "number"],
        [gap[i] === null ? "not finite" : (gap[i] > 0 ? "+" : "") + gap[i].toFixed(3), "number"], [bar(share, gap[i] < 0 ? 0.5 - share : 0.5, gap[i] > 0)]];
    });
    told.replaceChildren(table(head, rows), el("p", { class: "summary" }, verdict(model, rival, found.difference, found.first.unit)),
      el("p", { class: "line" }, boundNote(model, rival, found)));
    say("Scored by both.");
  });
  return {
    node: el("section", { "aria-label": "Scores by both" }, field.node, el("div", { class: "controls spaced" }, button), problem, told),
    clear: () => told.replaceChildren(),
    leave: run.stop,
  };
}

// Of a bound the sign stands before the number: the true bits are at most so many.
const marked = (scores, i) => `${scores.bound && scores.scores[i].bits !== null ? "\u2264 " : ""}${bits(scores.scores[i].bits)}`;

function verdict(model, rival, difference, unit) {
  if (difference.bits === null) return "No finite difference: one of the models finds a line impossible.";
  const [better, worse] = difference.bits < 0 ? [model, rival] : [rival, model];
  const size = Math.abs(difference.bits).toFixed(3);
  if (difference.error === null) return `${better.name} needs ${size} ${unit} fewer than ${worse.name} on this one line.`;
  const told = `${size} ± ${difference.error.toFixed(3)} ${unit}`;
  if (Math.abs(difference.bits) < 2 * difference.error) return `No clear difference on these lines: ${told}.`;
  return `${better.name} needs ${told} fewer than ${worse.name} on these lines.`;
}

function boundNote(model, rival, found) {
  const bound = [[model, found.first], [rival, found.second]].filter(([, scores]) => scores.bound).map(([each]) => each.name);
  const errors = "The error is over the lines, which both models share.";
  return bound.length ? `${errors} A mark \u2264: the bits of ${bound.join(" and ")} are an upper bound, the true ones may be fewer.` : errors;
}
