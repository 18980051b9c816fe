"use strict";

// Keeps a page up to date: the server sends the parts that have become different, as it would have written them
// into the page, and the states of the canvas's nodes. Everything works without this script, on a reload.
(() => {
  const url = document.body.dataset.live;
  const pill = document.getElementById("connection");
  let source = null;
  let ended = false;

  const say = (text, lost) => {
    pill.hidden = false;
    pill.textContent = text;
    pill.classList.toggle("lost", lost);
  };

  const put = (name, html) => {
    const place = document.querySelector(`[data-section="${CSS.escape(name)}"]`);
    if (!place) return;
    const focused = place.contains(document.activeElement) ? document.activeElement : null;
    // Whoever writes something in there keeps it; the next difference is soon enough.
    if (focused && focused.matches("input, textarea")) return;
    const again = focused && (focused.getAttribute("href") || focused.dataset.key);
    const open = [...place.querySelectorAll("details[open]")].map((each) => each.dataset.key);
    const scrolled = [...place.querySelectorAll("pre, .scroll")].map((each) => each.scrollTop);
    place.innerHTML = html;
    place.querySelectorAll("details").forEach((each) => { each.open = each.open || open.includes(each.dataset.key); });
    place.querySelectorAll("pre, .scroll").forEach((each, index) => { each.scrollTop = scrolled[index] || 0; });
    if (again) [...place.querySelectorAll("a")].find((each) => each.getAttribute("href") === again)?.focus();
  };

  const light = (id, node) => {
    document.querySelectorAll(`.ksl-canvas [data-id="${CSS.escape(id)}"]`).forEach((group) => {
      const classes = [...group.classList].filter((each) => !each.startsWith("state-") && each !== "noted");
      group.setAttribute("class", [...classes, `state-${node.state}`, ...(node.told ? ["noted"] : [])].join(" "));
      group.querySelector("use.sign")?.setAttribute("href", `#ksl-${node.state}`);
      const note = group.querySelector(".note");
      if (note) {
        const most = Number(note.dataset.most);
        note.textContent = node.told.length > most ? `${node.told.slice(0, most - 1)}…` : node.told;
      }
      const label = (group.getAttribute("aria-label") || "").split(", ").slice(0, 2);
      group.setAttribute("aria-label", [...label, node.spoken].join(", "));
    });
  };

  const take = (message) => {
    for (const [name, html] of Object.entries(message.sections || {})) put(name, html);
    if (message.whole) {
      document.querySelectorAll(".ksl-canvas [data-id]").forEach((group) => {
        const id = group.dataset.id;
        if (!(id in message.nodes)) light(id, { state: "pending", told: "", spoken: "pending" });
      });
    }
    for (const [id, node] of Object.entries(message.nodes || {})) light(id, node);
  };

  const open = () => {
    if (!url || source || ended) return;
    source = new EventSource(url);
    source.onopen = () => say("live", false);
    source.onmessage = (event) => take(JSON.parse(event.data));
    source.addEventListener("ended", () => { ended = true; close(); pill.hidden = true; });
    source.onerror = () => {
      say("reconnecting", true);
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
  open();

  const stretch = (ms) => {
    const s = Math.max(0, Math.floor(ms / 1000));
    if (s < 60) return `${s} s`;
    if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
    if (s < 172800) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
    return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
  };
  setInterval(() => {
    if (document.hidden) return;
    const now = Date.now();
    document.querySelectorAll("time[data-since]").forEach((each) => { each.textContent = stretch(now - each.dataset.since); });
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
