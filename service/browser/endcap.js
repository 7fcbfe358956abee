/* Endcap in a page: docs/guides/browser.md. Nothing in here may throw into the page. */
(() => {
  const script = document.currentScript, set = (script && script.dataset) || {};
  const base = (set.endpoint || (script && new URL(script.src).origin) || "").replace(/\/$/, "");
  const MAX_QUEUED = 100, MAX_SENT = 50, QUEUE = "endcap_queue", VISITOR = "endcap_visitor";
  // Asked for each call: a page that stays open may learn of it, or lose it.
  const consents = () => ["true", "granted", undefined].includes(set.consent);
  const safe = (act) => (...given) => {
    try {
      const made = act(...given);
      return made && made.catch ? made.catch(() => {}) : made;
      // The page goes on as it was.
    } catch {}
  };
  const store = (area) => {
    const memory = {};
    return {
      get: (name) => { try { return area().getItem(name); } catch { return memory[name]; } },
      set: (name, text) => { memory[name] = text; safe(() => area().setItem(name, text))(); },
    };
  };
  const local = store(() => localStorage), session = store(() => sessionStorage);
  const newId = () => crypto.randomUUID ? crypto.randomUUID()
    : Array.from(crypto.getRandomValues(new Uint32Array(4)), (n) => n.toString(36)).join("");
  const idIn = (area) => {
    let id = area.get(VISITOR);
    if (!id) area.set(VISITOR, (id = newId()));
    return id;
  };
  const user = () => consents() ? {
    user_id: set.user || undefined, anonymous_id: idIn(local), session_id: idIn(session),
  } : { consent: false };
  const where = () => ({ channel: set.channel || "web", platform: set.platform, country: set.country });

  let queue, timer, wait = 1e3, retryAt = 0, sending = false;
  const read = () => {
    try { queue = JSON.parse(local.get(QUEUE)); } catch { queue = 0; }
    return (queue = Array.isArray(queue) ? queue : []);
  };
  const save = () => local.set(QUEUE, JSON.stringify((queue = queue.slice(-MAX_QUEUED))));
  const url = () => `${base}/v1/events?key=${encodeURIComponent(set.key)}&sent_at=${Date.now()}`;
  const later = (ms) => {
    clearTimeout(timer);
    // While the service is down, nothing that is tracked makes the next try earlier.
    timer = setTimeout(flush, Math.max(ms, retryAt - performance.now()));
  };
  const flush = safe(async () => {
    const sent = read().slice(0, MAX_SENT);
    if (sending || !sent.length) return;
    sending = true;
    let status = 0;
    try {
      // Text without headers of its own needs no preflight.
      status = (await fetch(url(), { method: "POST", body: JSON.stringify(sent), keepalive: true })).status;
      // Else the service is down.
    } catch {}
    sending = false;
    if (!status || status === 429 || status >= 500) {
      wait = Math.min(wait * 2, 6e4);
      retryAt = performance.now() + wait;
      return later(0);
    }
    wait = 1e3;
    retryAt = 0;
    const ids = new Set(sent.map((event) => event.event_id));
    queue = read().filter((event) => !ids.has(event.event_id));
    save();
    if (queue.length) later(0);
  });
  const beacon = safe(() => {
    // What arrives twice is stored once, so all stays queued until an answer was seen.
    if (read().length) navigator.sendBeacon(url(), JSON.stringify(queue.slice(0, MAX_SENT)));
  });
  const track = safe((event) => {
    read().push({ event_id: newId(), timestamp: Date.now(), ...user(), ...where(), ...event });
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
  const place = (slot, template, shown) => {
    const height = slot.offsetHeight, { top } = slot.getBoundingClientRect();
    const isSeen = top < innerHeight;
    if (isSeen && !height) return false;
    const made = shown.map((values) => fill(template, values));
    // What can be seen keeps its height for good, what is below may grow.
    slot.style.minHeight = `${height}px`;
    if (isSeen) Object.assign(slot.style, { height: `${height}px`, boxSizing: "border-box", overflow: "hidden" });
    slot.replaceChildren(template, ...made);
    return true;
  };
  // Near each share of an element that half of a window can be, for up to 150 windows' height.
  const SHARES = Array.from({ length: 165 }, (_, step) => 0.5 * 0.97 ** step);
  const watch = (slot, exposure_id) => {
    let clock;
    const observer = new IntersectionObserver(safe((entries) => {
      const { isIntersecting, intersectionRatio, boundingClientRect: { height } } = entries.pop();
      // Of an element taller than the window half may never show, so half of the window is enough.
      if (isIntersecting && intersectionRatio * height >= Math.min(height, innerHeight) / 2)
        clock ||= setTimeout(() => {
          observer.disconnect();
          track({ event: "exposure", grade: "viewable", exposure_id });
        }, 1e3);
      else { clearTimeout(clock); clock = 0; }
    }), { threshold: SHARES });
    observer.observe(slot);
  };
  const render = (slot, slate) => {
    const shown = (slate.items || slate.banners || []).map((one) =>
      ({ url: one.link_url, ...one.attributes, ...one }));
    const { exposure_id } = slate, template = slot.querySelector("template");
    const asked = new CustomEvent("endcap", { detail: slate, bubbles: true, cancelable: true });
    if (!shown.length) return;
    if (slot.dispatchEvent(asked) && !(template && place(slot, template, shown))) return;
    track({ event: "exposure", grade: "rendered", exposure_id });
    watch(slot, exposure_id);
    const clicked = slate.kind === "banners" ? "banner_id" : "item_id";
    slot.addEventListener("click", safe((event) => {
      const one = event.target.closest("[data-endcap-id]");
      if (one) track({ event: "click", [clicked]: one.dataset.endcapId, exposure_id });
    }), true);
  };
  const serve = safe(async (root) => {
    const slots = [...(root || document).querySelectorAll("[data-endcap-placement]:not([data-endcap-asked])")];
    if (!slots.length) return;
    const placements = slots.map((slot) => ({ id: slot.dataset.endcapPlacement }));
    slots.forEach((slot) => { slot.dataset.endcapAsked = ""; });
    const context = { ...where(), page: set.page, item_ids: (set.items || "").split(/[\s,]+/).filter(Boolean) };
    const answer = await fetch(`${base}/v1/serve`, {
      method: "POST",
      headers: { "X-API-Key": set.key, "Content-Type": "application/json" },
      body: JSON.stringify({ user: user(), context, placements }),
      signal: AbortSignal.timeout(+set.timeout || 2e3),
    });
    if (answer.ok) (await answer.json()).placements.forEach((slate, i) => safe(render)(slots[i], slate));
  });

  window.endcap = { serve, track, flush };
  safe(() => {
    document.addEventListener("visibilitychange", () => document.visibilityState === "hidden" && beacon());
    addEventListener("pagehide", beacon);
    flush();
    if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", () => serve());
    else serve();
  })();
})();
