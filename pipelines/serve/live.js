"use strict";
// Asks the server every two seconds how the run stands, and shows it. All text is set as text, never as markup.
(() => {
  const by = (id) => document.getElementById(id);
  const number = (value) => (value === null || value === undefined ? "-" : value.toLocaleString("en-US"));

  function make(tag, words, css) {
    const made = document.createElement(tag);
    if (words !== undefined) made.textContent = words;
    if (css) made.className = css;
    return made;
  }

  function duration(seconds) {
    if (seconds === null || seconds === undefined) return "-";
    const whole = Math.round(seconds);
    if (whole < 60) return whole + " s";
    if (whole < 3600) return Math.floor(whole / 60) + " min " + String(whole % 60).padStart(2, "0") + " s";
    return Math.floor(whole / 3600) + " h " + String(Math.floor(whole / 60) % 60).padStart(2, "0") + " min";
  }

  function row(cells, css) {
    const made = make("tr", undefined, css);
    made.append(...cells);
    return made;
  }

  function step(one) {
    const name = make("th", one.name);
    name.scope = "row";
    const bar = make("td", undefined, "bar");
    if (one.state === "running" && one.units) {
      const shown = document.createElement("progress");
      shown.max = one.units;
      shown.value = one.done;
      shown.setAttribute("aria-label", one.name);
      bar.append(shown, ...one.inside.map((words) => make("small", words)));
    } else {
      bar.textContent = one.state;
    }
    const done = one.units === null ? "" : one.done === one.units ? number(one.units) : number(one.done) + " of " + number(one.units);
    const rate = one.rate === null ? "" : one.rate >= 10 ? one.rate.toFixed(0) : one.rate.toFixed(2);
    const left = one.left === null ? "" : duration(one.left);
    const cells = [done, rate, left, one.rows ? number(one.rows) : ""].map((words) => make("td", words, "n"));
    return row([name, bar, ...cells], one.state);
  }

  function ledger(one) {
    const name = make("th", one.step);
    name.scope = "row";
    const counts = [one.came, one.kept, one.removed, one.quarantined].map((value) => make("td", number(value), "n"));
    const why = one.reasons.map(([reason, count]) => (reason || "(no reason given)") + " " + number(count)).join(", ");
    return row([name, make("td", one.stage), ...counts, make("td", why)]);
  }

  function sample(one) {
    const made = make("div", undefined, "sample");
    const said = make("p", one.stage + ": " + (one.reason || "(no reason given)") + " · " + one.source + (one.id ? " · " : ""));
    if (one.id) said.append(make("code", one.id));
    const text = make("pre", one.excerpt);
    text.tabIndex = 0;
    text.dir = "auto";
    made.append(said, text);
    return made;
  }

  function group(place, rows, steps, words) {
    by(place).hidden = steps.length === 0;
    if (words) by(place).querySelector("summary").textContent = steps.length + (steps.length === 1 ? " step" : " steps") + words;
    by(rows).replaceChildren(...steps.map(step));
  }

  let last = "";
  function show(state) {
    if (state.gone) return trouble(state.gone);
    document.title = state.name + " · corpusmill";
    by("name").textContent = state.name;
    by("state").textContent = state.running ? "running" : state.ended ? "ended" : "stopped";
    by("state").className = "badge " + (state.running ? "run" : state.ended ? "ok" : "bad");
    by("when").textContent = (state.engine ? "engine " + state.engine + " · " : "") + (state.seconds === null ? "" : duration(state.seconds));
    trouble(state.fault);
    const over = state.steps.filter((one) => one.state === "done" || one.state === "reused").length;
    const share = state.steps.length ? over / state.steps.length : 0;
    by("overall").textContent = over + " of " + state.steps.length + " steps done";
    document.querySelector(".overall").setAttribute("aria-valuenow", String(Math.round(100 * share)));
    document.querySelector(".overall div").style.transform = "scaleX(" + share + ")";
    const told = JSON.stringify([state.steps, state.ledger, state.samples, state.failures]);
    if (told === last) return undefined; // nothing new: a selection of text stays
    last = told;
    const working = state.steps.filter((one) => one.state === "running");
    const finished = state.steps.filter((one) => one.state === "done" || one.state === "reused");
    const coming = state.steps.filter((one) => one.state === "waiting" || one.state === "stopped");
    group("working", "step-rows", working);
    group("finished", "done-rows", finished, " done");
    group("coming", "waiting-rows", coming, state.running ? " to come" : " not done");
    by("ledger-rows").replaceChildren(...state.ledger.map(ledger));
    by("samples").replaceChildren(...state.samples.map(sample));
    by("no-samples").hidden = state.samples.length > 0;
    by("failing").hidden = state.failures.length === 0;
    by("failure-list").replaceChildren(...state.failures.map((words) => make("li", words, "warning")));
    return undefined;
  }

  function trouble(words) {
    by("fault").textContent = words ?? "";
    by("fault").hidden = !words;
  }

  async function look() {
    try {
      const answer = await fetch("state.json");
      if (!answer.ok) throw new Error("the server answers " + answer.status);
      show(await answer.json());
    } catch (error) {
      trouble("The server does not answer; corpusmill serve may have ended. (" + error.message + ")");
    }
    setTimeout(look, document.hidden ? 10000 : 2000);
  }

  function table(found) {
    const head = document.createElement("tr");
    for (const [at, name] of found.columns.entries()) {
      const counted = found.rows.length > 0 && found.rows.every((cells) => cells[at] === null || typeof cells[at] === "number");
      const made = make("th", name, counted ? "n" : "");
      made.scope = "col";
      head.append(made);
    }
    const body = found.rows.map((cells) => row(cells.map((cell) =>
      typeof cell === "number" ? make("td", number(cell), "n") : make("td", cell === null ? "-" : cell))));
    const made = document.createElement("table");
    const top = document.createElement("thead");
    top.append(head);
    const rest = document.createElement("tbody");
    rest.append(...body);
    made.append(make("caption", found.rows.length + (found.rows.length === 1 ? " row" : " rows") + (found.more ? ", and there are more" : "")), top, rest);
    const scroll = make("div", undefined, "scroll");
    scroll.tabIndex = 0;
    scroll.append(made);
    return scroll;
  }

  function answered(found) {
    if (found.error) return make("p", found.error, "fault");
    if (!found.lines.length) return table(found);
    const text = make("pre", found.lines.join("\n") + (found.more ? "\n…" : ""));
    text.tabIndex = 0;
    return text;
  }

  const HINTS = { query: by("hint").textContent, explain: "A document's id or the beginning of one, its URL or its path" };
  const texts = { query: by("text").value, explain: "" };
  let kind = "query";
  for (const choice of document.querySelectorAll("input[name=kind]")) {
    choice.addEventListener("change", () => {
      texts[kind] = by("text").value;
      kind = choice.value;
      by("text").value = texts[kind];
      by("hint").textContent = HINTS[kind];
    });
  }
  by("text").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) by("question").requestSubmit();
  });
  by("question").addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = by("question").querySelector("button");
    button.disabled = true;
    try {
      const answer = await fetch(kind + ".json?text=" + encodeURIComponent(by("text").value));
      const found = { columns: [], rows: [], lines: [], more: false, ...await answer.json() };
      by("answer").replaceChildren(answered(found));
    } catch (error) {
      by("answer").replaceChildren(make("p", "no answer: " + error.message, "fault"));
    }
    button.disabled = false;
  });
  look();
})();
