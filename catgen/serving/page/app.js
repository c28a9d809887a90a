// The page: which model, what to do with it, light or dark.

import { get } from "./api.js";
import { el, plural, say } from "./dom.js";
import { infillPanel, samplePanel } from "./drawing.js";
import { comparePanel, correctPanel, scorePanel } from "./lines.js";

const TASKS = [
  ["sample", "Sample", () => true, (model) => samplePanel(model, go)],
  ["infill", "Fill in", (model) => model.can.infill, (model) => infillPanel(model)],
  ["correct", "Correct", (model) => model.can.correct && model.example === "text", (model) => correctPanel(model)],
  ["score", "Score", (model) => model.estimators.length > 0 && model.example !== "map", (model) => scorePanel(model)],
  ["compare", "Compare", (model) => models.some((each) => each !== model && each.example === model.example && each.position === model.position), (model) => comparePanel(model, models)],
];

let models = [];
let shown = null; // { model, task, panels }

function setTheme(theme) {
  const dark = theme === "dark" || (theme === "system" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  document.getElementById("theme").textContent = `Theme: ${theme}`;
  for (const panel of Object.values(shown?.panels ?? {})) panel.redraw?.();
}

function themes() {
  const order = ["system", "light", "dark"];
  let theme = localStorage.getItem("catgen-theme") ?? "system";
  if (!order.includes(theme)) theme = "system";
  document.getElementById("theme").addEventListener("click", () => {
    theme = order[(order.indexOf(theme) + 1) % order.length];
    localStorage.setItem("catgen-theme", theme);
    setTheme(theme);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => setTheme(theme));
  setTheme(theme);
}

function choose(model, wanted) {
  for (const panel of Object.values(shown?.panels ?? {})) panel.leave?.();
  const tasks = TASKS.filter(([, , offered]) => offered(model));
  const tabs = document.getElementById("tabs"), panels = document.getElementById("panels");
  shown = { model, task: null, tasks, panels: {} };
  document.getElementById("title").textContent = model.words.title;
  document.getElementById("about").textContent = about(model);
  tabs.replaceChildren(...tasks.map(([name, text]) => el("button", {
    type: "button", role: "tab", id: `tab-${name}`, "aria-controls": `panel-${name}`, "aria-selected": "false", tabindex: -1,
    onclick: () => open(name), onkeydown: (event) => walk(event),
  }, text)));
  panels.replaceChildren(...tasks.map(([name]) => el("div", { role: "tabpanel", id: `panel-${name}`, "aria-labelledby": `tab-${name}`, hidden: true })));
  open(tasks.some(([name]) => name === wanted) ? wanted : "sample");
}

function open(name) {
  if (shown.task === name) return;
  shown.panels[shown.task]?.leave?.();
  shown.task = name;
  for (const [each, , , make] of shown.tasks) {
    const tab = document.getElementById(`tab-${each}`), panel = document.getElementById(`panel-${each}`), own = each === name;
    tab.setAttribute("aria-selected", String(own));
    tab.tabIndex = own ? 0 : -1;
    panel.hidden = !own;
    if (own && !shown.panels[each]) {
      shown.panels[each] = make(shown.model);
      panel.replaceChildren(shown.panels[each].node);
    }
  }
  shown.panels[name].redraw?.();
  shown.panels[name].enter?.();
}

function walk(event) {
  const names = shown.tasks.map(([name]) => name), last = names.length - 1, at = names.indexOf(shown.task);
  const next = { ArrowRight: at === last ? 0 : at + 1, ArrowLeft: at === 0 ? last : at - 1, Home: 0, End: last }[event.key];
  if (next === undefined) return;
  event.preventDefault();
  open(names[next]);
  document.getElementById(`tab-${names[next]}`).focus();
}

// Opens a task with an example of another one.
function go(name, example) {
  open(name);
  shown.panels[name].take(example);
  document.getElementById(`tab-${name}`).focus();
  say("Opened to be changed.");
}

function about(model) {
  const found = model.results.find((each) => each.value !== null);
  const size = `${model.shape.join(" \u00d7 ")} ${model.position}s`;
  const categories = `each one of ${model.num_classes.toLocaleString("en")} categories`;
  const sizes = {
    text: `texts of ${model.longest < model.shape[0] ? "up to " : ""}${model.longest} ${model.counted}s`,
    row: size, // columns have categories of their own, which the description of the data counts
  };
  const parts = [
    `${model.family.replaceAll("_", " ")} with ${model.parameters.toLocaleString("en")} parameters, after ${plural(model.step, "training step")}`,
    sizes[model.example] ?? `${size}, ${categories}`,
    `data: ${model.data}`,
  ];
  if (found) parts.push(result(found));
  return `${parts.join(" \u00b7 ")}.`;
}

// A number with its error over the examples, and whether the true one may be smaller.
function result(found) {
  const error = found.data_error === null ? "" : ` \u00b1 ${found.data_error.toFixed(3)}`;
  const kind = found.bound ? `an upper bound (${found.estimator})` : "exact";
  return `${found.value.toFixed(3)}${error} ${found.unit} on ${found.split} data, ${kind}`;
}

async function begin() {
  themes();
  try {
    const found = await get("api/models");
    models = found.models.map((model) => ({ ...model, offers: found.offers })); // what a request may choose among
  } catch (error) {
    document.getElementById("title").textContent = "Nothing to show";
    document.getElementById("about").textContent = error.message;
    return;
  }
  const select = document.getElementById("model");
  select.replaceChildren(...models.map((model) => el("option", { value: model.name }, model.name)));
  document.getElementById("model-field").hidden = models.length < 2;
  select.addEventListener("change", () => choose(models.find((model) => model.name === select.value), shown.task));
  choose(models[0], "sample");
}

begin();
