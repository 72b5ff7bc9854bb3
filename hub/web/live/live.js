"use strict";
const at = (id) => document.getElementById(id);
const say = (text) => { at("state").textContent = text; };

// What comes from a hub is shown as text, never as HTML.
function row(texts) {
  const line = document.createElement("tr");
  line.append(...texts.map((text) => {
    const cell = document.createElement("td");
    cell.textContent = text ?? "";
    return cell;
  }));
  return line;
}

// Follows a stream. `fields` are the inputs whose values its address has, `more` adds to them, `begin` is called before
// it is followed anew, and `hear` is given every source of events.
function live({ fields, more = () => {}, begin, hear }) {
  let source = null, timer = 0;

  function query(ticket) {
    const asked = new URLSearchParams();
    for (const name of fields) {
      const input = at(name);
      const value = input.type === "checkbox" ? (input.checked ? "true" : "") : input.value.trim();
      if (value) asked.set(name, value);
    }
    more(asked);
    asked.set("ticket", ticket);
    return asked;
  }

  function open(ticket, again) {
    close();
    source = new EventSource(location.pathname + "?" + query(ticket));
    source.onopen = () => { at("stop").disabled = false; say("Following."); };
    hear(source);
    source.onerror = () => {
      // A ticket opens one stream once: whoever comes again needs another one.
      close();
      if (!again) { say("The stream ended. Give a key to follow on."); return; }
      say("The stream ended; trying again…");
      timer = setTimeout(again, 2000);
    };
  }

  function close() {
    clearTimeout(timer);
    if (source) source.close();
    source = null;
    at("stop").disabled = true;
  }

  async function follow() {
    say("Asking for a ticket…");
    let answer, said;
    try {
      answer = await fetch("/v1/streams/tickets", {
        method: "POST", headers: { Authorization: "Bearer " + at("key").value.trim() }, credentials: "omit" });
      said = await answer.json();
    } catch {
      say("The hub does not answer; trying again…");
      timer = setTimeout(follow, 5000);
      return;
    }
    if (answer.ok) open(said.ticket, follow);
    else say("The hub said " + answer.status + ": " + (said.detail || said.title));
  }

  at("ask").addEventListener("submit", (event) => { event.preventDefault(); close(); begin(); void follow(); });
  at("stop").addEventListener("click", () => { close(); say("Stopped."); });

  const asked = new URLSearchParams(location.search);
  for (const name of fields) {
    if (at(name).type === "checkbox") at(name).checked = asked.get(name) === "true";
    else at(name).value = asked.get(name) || "";
  }
  const ticket = asked.get("ticket");
  if (ticket) {
    asked.delete("ticket");
    history.replaceState(null, "", location.pathname + (asked.size ? "?" + asked : ""));
    open(ticket, null);
  }
}
