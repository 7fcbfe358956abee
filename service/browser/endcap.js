// Endcap in a page: docs/guides/browser.md. Nothing in here may throw into the page.
(() => {
  const doc = document, script = doc.currentScript, set = script?.dataset || {};
  const base = (set.endpoint || (script && new URL(script.src).origin) || "").replace(/\/$/, "");
  const QUEUE = "endcap_queue", VISITOR = "endcap_visitor";
  const on = (kind, act) => doc.addEventListener(kind, act);
  const safe = (act) => (...given) => {
    try {
      const made = act(...given);
      return made?.catch?.(() => {}) ?? made;
      // The page goes on as it was.
    } catch {}
  };
  const store = (area) => {
    const memory = {};
    return {
      get: (name) => { try { return memory[name] ?? area().getItem(name); } catch {} },
      // What is full can be read all the same, and would answer with what was kept before.
      set: (name, text) => {
        try { area().setItem(name, text); delete memory[name]; } catch { memory[name] = text; }
      },
    };
  };
  const local = store(() => localStorage), session = store(() => sessionStorage);
  const newId = () => crypto.randomUUID?.()
    || crypto.getRandomValues(new Uint32Array(4)).join("-");
  const idIn = (area) => {
    let id = area.get(VISITOR);
    if (!id) area.set(VISITOR, id = newId());
    return id;
  };
  // Asked for each call: a page that stays open may learn of consent, or lose it.
  const user = () => ["true", "granted", undefined].includes(set.consent) ? {
    user_id: set.user || undefined, anonymous_id: idIn(local), session_id: idIn(session),
  } : { consent: false };
  const within = (ms) => {
    const end = new AbortController();
    setTimeout(() => end.abort(), ms);
    return end.signal;
  };
  const where = () => ({ channel: set.channel || "web", platform: set.platform, country: set.country });

  let mine = new Map(), queue, timer, wait = 1e3, retryAt = 0, sending;
  const read = () => {
    let kept = [];
    try { kept = JSON.parse(local.get(QUEUE)).map((one) => [one.event_id, one]); } catch {}
    // Another tab that writes at the same time may have left out what is of this page.
    return [...(queue = new Map([...kept, ...mine])).values()];
  };
  const batch = () => read().slice(0, 50);
  const save = () => local.set(QUEUE, JSON.stringify([...queue.values()].slice(-100)));
  const url = () => `${base}/v1/events?key=${encodeURIComponent(set.key)}&sent_at=${Date.now()}`;
  const later = (ms) => {
    clearTimeout(timer);
    // While the service is down, nothing that is tracked makes the next try earlier.
    timer = setTimeout(flush, Math.max(ms, retryAt - performance.now()));
  };
  const flush = safe(async () => {
    const sent = batch();
    if (sending || !sent.length) return;
    sending = true;
    const body = JSON.stringify(sent);
    let status;
    try {
      // Text without headers of its own needs no preflight. Browsers refuse to keep 64 KiB alive.
      status = (await fetch(url(), {
        method: "POST", body, keepalive: body.length < 2e4, signal: within(3e4),
      })).status;
      // Else the service is down.
    } catch {}
    sending = false;
    if (!(status < 500) || status === 429) {
      wait = Math.min(wait * 2, 6e4);
      retryAt = performance.now() + wait;
      return later(0);
    }
    wait = 1e3;
    retryAt = 0;
    read();
    for (const { event_id } of sent) {
      mine.delete(event_id);
      queue.delete(event_id);
    }
    save();
    if (queue.size) later(0);
  });
  const beacon = safe(() => {
    const sent = batch();
    // What arrives twice is stored once, so all stays queued until an answer was seen.
    if (sent.length) navigator.sendBeacon(url(), JSON.stringify(sent));
  });
  const track = safe((event) => {
    const event_id = event.event_id || newId();
    // What is no JSON fails here, before it is among the others.
    mine.set(event_id, JSON.parse(JSON.stringify({
      timestamp: Date.now(), ...user(), ...where(), ...event, event_id,
    })));
    mine = new Map([...mine].slice(-100));
    read();
    save();
    later(200);
  });

  // Of an address that cannot be read, and of one that a browser runs, nothing is drawn.
  const isWeb = safe((url) => /^https?:/.test(new URL(url, location)));
  const fill = (template, values) => {
    const copy = template.content.cloneNode(true);
    for (const one of copy.querySelectorAll("[data-endcap-text]"))
      one.textContent = values[one.dataset.endcapText] ?? "";
    for (const one of copy.querySelectorAll("[data-endcap-attr]"))
      for (const pair of one.dataset.endcapAttr.split(/\s+/)) {
        const [name, field] = pair.split(":");
        // A picture that was uploaded here lies here, wherever the page does.
        const value = /^\/v1\/pictures\//.test(values[field]) ? base + values[field] : values[field];
        if (value != null && !/^on|^srcdoc$/i.test(name)
          && (!/(href|src|action|^data)$/i.test(name) || isWeb(value))) one.setAttribute(name, value);
      }
    for (const one of copy.children) one.dataset.endcapId = values.id;
    return copy;
  };
  const isShown = (slot) => slot.getClientRects()[0];
  // The next element that shows, of the same parent or of one further out.
  const after = (one) => {
    const next = one.nextElementSibling, outer = one.parentElement;
    return next ? isShown(next) ? next : after(next) : outer && after(outer);
  };
  const place = (slot, template, shown) => {
    const { style, offsetHeight: height, offsetWidth: width } = slot, next = after(slot);
    const spots = () => [slot, next].map((one) => one?.getBoundingClientRect().top);
    const before = spots(), isSeen = before[0] < innerHeight;
    if (isSeen && !height) return;
    const made = shown.map((values) => fill(template, values));
    // What can be seen keeps its height for good, what is below may grow.
    style.minHeight = `${height}px`;
    // What scrolls in itself, as a row to swipe through, goes on doing so.
    const overflow = getComputedStyle(slot).overflow.replace(/visible/g, "hidden");
    if (isSeen) Object.assign(style, { height: `${height}px`, boxSizing: "border-box", overflow });
    slot.replaceChildren(template, ...made);
    if (!isSeen) return true;
    // In a row of elements it is as wide as what is in it.
    if (slot.offsetWidth !== width) style.width = `${width}px`;
    // Margins of what stood in it reached out of it. What is drawn keeps its own inside.
    ["marginTop", "marginBottom"].forEach((side, i) => {
      const moved = () => Math.round(spots()[i] - before[i]), own = style[side];
      if (!moved()) return;
      // So far out that no neighbour's margin makes a difference.
      style[side] = "999px";
      style[side] = `${999 - moved()}px`;
      if (moved()) style[side] = own;
    });
    return true;
  };
  // Near each share of an element that half of a window can be, for up to 150 windows' height.
  const SHARES = Array.from({ length: 165 }, (_, step) => 0.5 * 0.97 ** step);
  // Of each element the call and the slate that were the last: only that slate is seen and clicked.
  const asked = new WeakMap(), drawn = new WeakMap();
  const watch = (slot, report) => {
    let clock, isThere;
    // An observer hears nothing of a tab that is hidden.
    const look = () => {
      if (!isThere || doc.hidden) clock = clearTimeout(clock);
      else clock ||= setTimeout(() => {
        observer.disconnect();
        hear("remove");
        report({ event: "exposure", grade: "viewable" });
      }, 1e3);
    };
    const hear = (how) => doc[`${how}EventListener`]("visibilitychange", look);
    const observer = new IntersectionObserver(safe((entries) => {
      const { isIntersecting, intersectionRatio, boundingClientRect: { height } } = entries.pop();
      // Of an element taller than the window half may never show, so half of the window is enough.
      isThere = isIntersecting && intersectionRatio * height >= Math.min(height, innerHeight) / 2;
      hear(isThere ? "add" : "remove");
      look();
    }), { threshold: SHARES });
    observer.observe(slot);
  };
  const render = (slot, slate) => {
    const chosen = slate.items || slate.banners || [];
    const template = slot.querySelector("template"), { exposure_id } = slate;
    const report = (event) => drawn.get(slot) === report && track({ ...event, exposure_id });
    const event = new CustomEvent("endcap", { detail: slate, bubbles: true, cancelable: true });
    if (!chosen.length) return;
    const isDrawn = !slot.dispatchEvent(event);
    // Read after that: the page may have written a price with its currency.
    const shown = chosen.map((one) => ({ url: one.link_url, ...one.attributes, ...one }));
    if (!isDrawn && !(template && place(slot, template, shown))) return;
    drawn.set(slot, report);
    report({ event: "exposure", grade: "rendered" });
    // The middle button clicks with an event of its own, which it shares with the right one.
    for (const kind of ["click", "auxclick"]) slot.addEventListener(kind, safe(({ target, button }) => {
      const one = target.closest("[data-endcap-id]");
      if (one && !(button > 1))
        report({ event: "click", [slate.items ? "item_id" : "banner_id"]: one.dataset.endcapId });
    }), true);
    watch(slot, report);
  };
  const serve = safe(async (root) => {
    // Nobody may ever come to a page that was drawn ahead.
    if (doc.prerendering)
      await new Promise((go) => on("prerenderingchange", go));
    const named = (slot) => slot.dataset.endcapPlacement;
    const all = [...doc.querySelectorAll("[data-endcap-placement]")];
    // What is hidden, as the copy of a slot for phones is, takes no items from the one that shows.
    const slots = [...(root || doc).querySelectorAll("[data-endcap-placement]:not([data-endcap-asked])")]
      .filter((slot) => isShown(slot) || !all.some((one) => named(one) === named(slot) && isShown(one)))
      .slice(0, 50);
    if (!slots.length) return;
    // One that names nothing is asked for as one that nobody knows, or all would be refused.
    const placements = slots.map((slot) => ({ id: named(slot) || "?" }));
    slots.forEach((slot) => { slot.dataset.endcapAsked = ""; asked.set(slot, placements); });
    const context = { ...where(), page: set.page, item_ids: (set.items || "").split(/[\s,]+/).filter(Boolean).slice(0, 100) };
    const answer = await fetch(`${base}/v1/serve`, {
      method: "POST",
      headers: { "X-API-Key": set.key, "Content-Type": "application/json" },
      body: JSON.stringify({ user: user(), context, placements }),
      signal: within(+set.timeout || 2e3),
    });
    // An answer that comes after that of a later call is out of date.
    if (answer.ok) (await answer.json()).placements.forEach((slate, i) =>
      asked.get(slots[i]) === placements && safe(render)(slots[i], slate));
    return serve(root);
  });

  window.endcap = { serve, track, flush };
  safe(() => {
    on("visibilitychange", () => doc.hidden && beacon());
    addEventListener("pagehide", beacon);
    flush();
    if (doc.readyState === "loading") on("DOMContentLoaded", () => serve());
    else serve();
  })();
})();
