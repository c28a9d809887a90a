// Asking the server: JSON, or events as they come. Aborting a request cancels the work.

const token = takeToken();

// The token is behind the # of the address, which browsers send to nobody; it is kept for this tab alone.
function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    sessionStorage.setItem("catgen-token", given);
    history.replaceState(null, "", location.pathname);
  }
  return given || sessionStorage.getItem("catgen-token");
}

function headers() {
  return { "content-type": "application/json", ...(token ? { authorization: `Bearer ${token}` } : {}) };
}

async function answered(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer. Is catgen serve still running?");
  }
  if (response.ok) return response;
  let line = `The server answered ${response.status}.`;
  try { line = sentence((await response.json()).error); } catch { /* no JSON: the status has to do */ }
  if (response.status === 401) line = "This server asks for its token: open the address that it printed when it started.";
  throw new Error(line);
}

export function sentence(line) {
  const text = line.charAt(0).toUpperCase() + line.slice(1);
  return /[.?!]$/.test(text) ? text : `${text}.`;
}

export async function get(path) {
  return (await answered(path, { headers: headers() })).json();
}

export async function post(path, body, signal) {
  return (await answered(path, { method: "POST", headers: headers(), body: JSON.stringify(body), signal })).json();
}

// Calls on(name, content) for each event; returns the content of "done".
export async function stream(path, body, signal, on) {
  const options = { method: "POST", headers: headers(), body: JSON.stringify({ ...body, stream: true }), signal };
  const reader = (await answered(path, options)).body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) throw new Error("The server ended before the answer was whole.");
    buffer += value;
    const events = buffer.split("\n\n");
    buffer = events.pop();
    for (const event of events) {
      const name = /^event: (.*)$/m.exec(event)?.[1];
      if (!name) continue;
      const content = JSON.parse(/^data: (.*)$/m.exec(event)[1]);
      if (name === "error") throw new Error(sentence(content.error));
      if (name === "done") return content;
      on(name, content);
    }
  }
}
