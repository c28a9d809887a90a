// Small pieces of the page.

export function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value === true) node.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

let counter = 0;
export function fresh(name) {
  counter += 1;
  return `${name}-${counter}`;
}

export function say(line) {
  document.getElementById("status").textContent = line;
}

// A labelled choice; `.value` is the chosen value as text.
export function choice(label, entries, chosen) {
  const id = fresh("choice");
  const select = el("select", { id }, ...entries.map(([value, text]) => el("option", { value }, text)));
  if (chosen !== undefined) select.value = String(chosen);
  return { node: el("div", { class: "field" }, el("label", { for: id }, label), select), input: select };
}

export function numberField(label, value, most) {
  const id = fresh("number");
  const input = el("input", { id, type: "number", min: 0, max: most, step: 1, value, inputmode: "numeric" });
  return { node: el("div", { class: "field" }, el("label", { for: id }, label), input), input };
}

export function errorLine() {
  return el("p", { class: "error", role: "alert" });
}

// Runs work(signal) while the button offers to stop it; one at a time.
export function runner(button, error, work) {
  const label = button.textContent;
  let controller = null;
  async function run() {
    if (controller) { controller.abort(); return; }
    controller = new AbortController();
    button.textContent = "Stop";
    button.classList.add("stop");
    error.textContent = "";
    try {
      await work(controller.signal);
    } catch (problem) {
      if (problem.name === "AbortError") say("Stopped.");
      else error.textContent = problem.message;
    } finally {
      controller = null;
      button.textContent = label;
      button.classList.remove("stop");
    }
  }
  button.addEventListener("click", run);
  return { run, stop: () => controller?.abort() };
}

export function debounced(milliseconds, action) {
  let timer = null;
  return (...words) => {
    clearTimeout(timer);
    timer = setTimeout(() => action(...words), milliseconds);
  };
}

export function plural(number, word) {
  return `${number.toLocaleString("en")} ${word}${number === 1 ? "" : "s"}`;
}
