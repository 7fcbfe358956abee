/* Listens in on what endcap.js asks and tells, for the drawer. It changes none of it. */
(() => {
  const KEPT = 80, LOG = "endcap_demo_log", DRAWER = "endcap_demo_drawer";
  const listeners = [];
  const read = () => { try { return JSON.parse(sessionStorage.getItem(LOG)) || []; } catch { return []; } };
  const demo = window.demo = {
    calls: [],
    log: read(),
    on: (listener) => { listeners.push(listener); },
    clear: () => { demo.log = []; tell(); },
    isOpen: () => document.documentElement.classList.contains("with-drawer"),
    setOpen: (isOpen) => {
      document.documentElement.classList.toggle("with-drawer", isOpen);
      document.cookie = `${DRAWER}=${isOpen ? "open" : "closed"}; path=/demo; max-age=2592000; samesite=lax`;
    },
  };
  const tell = () => {
    demo.log = demo.log.slice(-KEPT);
    try { sessionStorage.setItem(LOG, JSON.stringify(demo.log)); } catch { /* it is only a log */ }
    listeners.forEach((listener) => listener());
  };
  const placed = (exposure_id) => demo.calls
    .flatMap(({ answer }) => (answer && answer.placements) || [])
    .find((slate) => slate.exposure_id === exposure_id);
  const note = (events, verdict) => {
    for (const event of events) {
      const known = demo.log.find((one) => one.event_id === event.event_id);
      const entry = known || { event_id: event.event_id, at: Date.now() };
      if (!known) demo.log.push(entry);
      const slate = placed(event.exposure_id);
      Object.assign(entry, { event, verdict: verdict(event), placement: slate ? slate.id : entry.placement });
    }
    tell();
  };
  const asArray = (body) => { const read = JSON.parse(body); return Array.isArray(read) ? read : [read]; };

  // The first time, a wide window has the drawer open; before anything is drawn, so nothing moves.
  const known = /(?:^|; )endcap_demo_drawer=(\w+)/.exec(document.cookie);
  demo.setOpen(known ? known[1] === "open" : innerWidth >= 1100);

  const ask = window.fetch.bind(window);
  window.fetch = async (where, options) => {
    const path = new URL(where, location.href).pathname;
    if (path !== "/v1/serve" && path !== "/v1/events") return ask(where, options);
    const call = { path, at: Date.now(), request: JSON.parse(options.body) };
    const begin = performance.now();
    const events = path === "/v1/events" ? asArray(options.body) : [];
    if (events.length) note(events, () => "sent");
    else demo.calls.push(call);
    try {
      const answer = await ask(where, options);
      call.ms = performance.now() - begin;
      call.status = answer.status;
      answer.clone().json().then((told) => {
        call.answer = told;
        const verdicts = new Map((told.events || []).map((one) => [one.event_id, one.status]));
        note(events, (event) => verdicts.get(event.event_id) || "failed");
      }).catch(() => note(events, () => "failed"));
      return answer;
    } catch (error) {
      call.failed = String(error);
      note(events, () => "failed");
      throw error;
    }
  };
  const send = navigator.sendBeacon.bind(navigator);
  navigator.sendBeacon = (where, body) => {
    const sent = send(where, body);
    if (sent && typeof body === "string") note(asArray(body), () => "sent");
    return sent;
  };
})();
