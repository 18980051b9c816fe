"use strict";

// Keeps a page up to date: the server sends the parts that have become different, as it would have written them
// into the page, and the states of the canvas's nodes. Everything works without this script, on a reload.
(() => {
  const url = document.body.dataset.live;
  const pill = document.getElementById("connection");
  const main = document.getElementById("main");
  // Moments are those of the server's clock, and this machine's may be another.
  const ahead = Date.now() - Number(document.body.dataset.now);
  let source = null;
  let ended = false;
  let lost = false;

  const say = (text, isLost) => {
    lost = isLost;
    if (pill.textContent === text && !pill.hidden) return; // it is read aloud whenever it is written
    pill.hidden = false;
    pill.textContent = text;
    pill.classList.toggle("lost", isLost);
  };

  // --- What somebody writes outlives the part of the page that it is in, a reload, and a server that is gone.

  const isChoice = (field) => field.type === "radio" || field.type === "checkbox";
  const isChanged = (field) => (isChoice(field) ? field.checked !== field.defaultChecked : field.value !== field.defaultValue);
  const written = (root) => [...root.querySelectorAll("form[method=post] :is(input:not([type=hidden], [type=password]), textarea)")];
  const named = (field) => [field.form.getAttribute("action"), field.name, isChoice(field) ? field.value : ""].join(" ");
  const taken = (root) => written(root).filter(isChanged).map((field) => [named(field), isChoice(field) ? field.checked : field.value]);
  const give = (root, pairs) => {
    const values = new Map(pairs);
    for (const field of written(root)) {
      if (!values.has(named(field))) continue;
      if (isChoice(field)) field.checked = values.get(named(field));
      else field.value = values.get(named(field));
      field.closest("details")?.setAttribute("open", "");
    }
  };

  const DRAFT = "ksl draft ";
  const SENT = "ksl sent";
  const here = DRAFT + location.pathname + location.search;
  const sent = sessionStorage.getItem(SENT);
  sessionStorage.removeItem(SENT);
  // Whoever comes on from a form has an answer to it. Where it was refused, or nobody answered, all is still there.
  const came = performance.getEntriesByType("navigation")[0]?.type === "navigate" && location.hash !== "#again";
  if (sent && came && !document.querySelector("main .refused")) sessionStorage.removeItem(sent);
  give(main, JSON.parse(sessionStorage.getItem(here) || "[]"));
  document.addEventListener("input", (event) => {
    if (!main.contains(event.target) || !written(main).includes(event.target)) return;
    const pairs = taken(main);
    if (pairs.length) sessionStorage.setItem(here, JSON.stringify(pairs));
    else sessionStorage.removeItem(here);
  });
  document.addEventListener("submit", (event) => {
    if (event.target.matches(".logout")) sessionStorage.clear();
    else if (event.target.method === "post") sessionStorage.setItem(SENT, here);
  });

  // --- Parts of the page

  const waiting = new Map(); // parts that somebody writes in, or has chosen text in
  const isInUse = (place) => {
    if (place.contains(document.activeElement) && document.activeElement.matches("input, textarea")) return true;
    const chosen = getSelection();
    return !chosen.isCollapsed && place.contains(chosen.anchorNode);
  };
  const put = (name, html) => {
    const place = document.querySelector(`[data-section="${CSS.escape(name)}"]`);
    if (!place) return;
    if (isInUse(place)) {
      waiting.set(name, html);
      return;
    }
    waiting.delete(name);
    const focused = place.contains(document.activeElement) ? document.activeElement : null;
    const open = [...place.querySelectorAll("details[open]")].map((each) => each.dataset.key);
    const scrolled = [...place.querySelectorAll("pre, .scroll")].map((each) => [each.scrollTop, each.scrollHeight]);
    const pairs = taken(place);
    place.innerHTML = html;
    place.querySelectorAll("details").forEach((each) => { each.open = each.open || open.includes(each.dataset.key); });
    place.querySelectorAll("pre, .scroll").forEach((each, index) => {
      const [top, height] = scrolled[index] || [0, 0];
      // New lines of a log come in at its top: whoever reads further below goes on with the same line.
      each.scrollTop = top && each.matches(".log") ? top + each.scrollHeight - height : top;
    });
    give(place, pairs);
    const same = (each) => each.getAttribute("href") === focused.getAttribute("href") && each.textContent === focused.textContent;
    if (focused) [...place.querySelectorAll(focused.tagName)].find(same)?.focus({ preventScroll: true });
  };
  const putWaiting = () => { for (const [name, html] of [...waiting]) put(name, html); };
  document.addEventListener("focusout", () => setTimeout(putWaiting));
  document.addEventListener("selectionchange", () => { if (waiting.size && getSelection().isCollapsed) putWaiting(); });

  // --- The canvas

  const LIT = ".ksl-canvas :is([data-id], [data-steps])";
  const spoken = (label, node) => [...label.split(", ").slice(0, 2), node.spoken].join(", ");
  const light = (id, node) => {
    const text = CSS.escape(id);
    document.querySelectorAll(`.ksl-canvas :is([data-id="${text}"], [data-steps="${text}"])`).forEach((group) => {
      const classes = [...group.classList].filter((each) => !each.startsWith("state-") && each !== "noted");
      group.setAttribute("class", [...classes, `state-${node.state}`, ...(node.told ? ["noted"] : [])].join(" "));
      group.querySelector("use.sign")?.setAttribute("href", `#ksl-${node.state}`);
      const note = group.querySelector(".note");
      if (note) {
        const most = Number(note.dataset.most);
        note.textContent = node.told.length > most ? `${node.told.slice(0, most - 1)}…` : node.told;
      }
      const label = group.getAttribute("aria-label");
      if (label) group.setAttribute("aria-label", spoken(label, node));
    });
    document.querySelectorAll(`.outline [data-node="${text}"]`).forEach((each) => {
      each.textContent = spoken(each.textContent, node);
      each.previousElementSibling.textContent = node.sign;
    });
  };

  const take = (message) => {
    for (const [name, html] of Object.entries(message.sections || {})) put(name, html);
    if (message.whole) {
      document.querySelectorAll(LIT).forEach((group) => {
        const id = group.dataset.id || group.dataset.steps;
        if (!(id in message.nodes)) light(id, message.pending);
      });
    }
    for (const [id, node] of Object.entries(message.nodes || {})) light(id, node);
  };

  // --- What a model says at the moment, in the place below the transcript, until it is there as it was recorded

  const saying = document.getElementById("saying");
  const hear = (text) => {
    if (!saying) return;
    const atEnd = innerHeight + scrollY >= document.documentElement.scrollHeight - 40;
    const turn = `${text.run_id} ${text.step}`;
    let place = [...saying.children].find((each) => each.dataset.turn === turn);
    if (!place) {
      place = document.getElementById("words").content.firstElementChild.cloneNode(true);
      place.dataset.turn = turn;
      saying.append(place);
    }
    const words = place.querySelector(".text");
    if (text.offset === 0) words.textContent = "";
    // As the server does: a sign in the place of each letter that moves, turns or hides others.
    words.textContent += text.delta.replace(/[^\P{C}\n\t]/gu, "\ufffd");
    place.hidden = !words.textContent;
    if (atEnd) scrollTo(0, document.documentElement.scrollHeight);
  };
  const unsay = () => {
    if (!saying) return;
    const isOver = document.querySelector("[data-status]")?.dataset.status !== "running";
    for (const each of [...saying.children]) {
      if (isOver || document.querySelector(`main [data-recorded="${CSS.escape(each.dataset.turn)}"]`)) each.remove();
    }
  };

  const open = () => {
    if (!url || source || ended) return;
    source = new EventSource(url);
    source.onopen = () => say("live", false);
    source.onmessage = (event) => { take(JSON.parse(event.data)); unsay(); };
    source.addEventListener("text", (event) => hear(JSON.parse(event.data)));
    source.addEventListener("ended", () => { ended = true; close(); pill.hidden = true; });
    source.onerror = () => {
      if (!lost) say(`no connection, as of ${new Date(Date.now() - ahead).toISOString().slice(11, 19)}`, true);
      if (source && source.readyState === EventSource.CLOSED) {
        close();
        setTimeout(open, 3000);
      }
    };
  };

  const close = () => {
    source?.close();
    source = null;
  };

  // A tab that nobody looks at gives its connection back; a browser has about six for one server.
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", open);
  open();

  const stretch = (ms) => {
    const s = Math.max(0, Math.floor(ms / 1000));
    if (s < 60) return `${s} s`;
    if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
    if (s < 172800) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
    return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
  };
  setInterval(() => {
    if (document.hidden || lost) return; // nobody knows what still runs
    const now = Date.now() - ahead;
    document.querySelectorAll("time[data-since]").forEach((each) => { each.textContent = stretch(now - each.dataset.since); });
    document.querySelectorAll("time[data-until]").forEach((each) => {
      const left = each.dataset.until - now;
      each.textContent = left < 1000 ? "now" : `in ${stretch(left)}`;
    });
    document.querySelectorAll("time[data-ago]").forEach((each) => {
      const past = now - each.dataset.ago;
      each.textContent = past < 0 ? `in ${stretch(-past)}` : `${stretch(past)} ago`;
    });
  }, 1000);

  // A node of the canvas leads to the newest of its steps.
  const choose = (group) => {
    const id = group.dataset.id;
    const steps = [...document.querySelectorAll("a[data-step]")].filter((each) => {
      const site = each.dataset.step.split("/")[0];
      return site.replace(/(\[[^\]]*\])?#\d+$/, "") === id;
    });
    if (steps.length) location.assign(steps[steps.length - 1].href);
  };
  const drawing = document.getElementById("drawing");
  if (drawing) {
    drawing.addEventListener("click", (event) => {
      const group = event.target.closest("[data-id]");
      if (group) choose(group);
    });
    drawing.addEventListener("keydown", (event) => {
      const group = event.key === "Enter" && event.target.closest("[data-id]");
      if (group) choose(group);
    });
    const chosen = document.querySelector(".timeline .chosen a[data-step]");
    if (chosen) {
      const id = chosen.dataset.step.split("/")[0].replace(/(\[[^\]]*\])?#\d+$/, "");
      drawing.querySelector(`[data-id="${CSS.escape(id)}"]`)?.classList.add("chosen");
    }
  }
})();
