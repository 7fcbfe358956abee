// The console works without this file; with it pages follow changes, ask before they act, and
// sliders move. Attributes say what to do:
//   data-live (with an id)     drawn anew from the page's address after each change by anyone
//   data-refresh="5"           on any element: also every so many seconds
//   data-confirm="Question?"   on a form: asked in a dialog before it is sent
//   data-slider                a range and a number of one value
//   data-preview="/address"    on a form: posted there as one types; the answer replaces the
//   data-preview-target="id"   element with this id
//   data-submits="id"          on a field: a change presses the button with this id
//   data-own-zone              on a time zone: that of the browser, if it is offered
//   data-document              on a form: which state it edits; data-state says which that is
"use strict";
(() => {
  const HEADERS = { "X-Requested-With": "console" };
  let token = document.querySelector('meta[name="form-token"]').content;
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const toasts = document.getElementById("toasts");

  function say(text, tone = "info") {
    const toast = document.createElement("p");
    toast.className = `toast ${tone}`;
    toast.textContent = text;
    toasts.append(toast);
    return toast;
  }

  // What was typed and not sent must not be drawn over.
  const isTouched = (element) =>
    all("form", element).some((form) => form.dataset.touched) || element.closest("form[data-touched]");
  const isInUse = (element) =>
    isTouched(element) || (element.contains(document.activeElement) &&
      document.activeElement.matches("input, select, textarea"));
  addEventListener("input", (event) => {
    const form = event.target.form;
    if (form) form.dataset.touched = "1";
  });

  function enhance(root) {
    all("[data-slider]", root).forEach((slider) => {
      const range = slider.querySelector("[data-slider-range]");
      const number = slider.querySelector("[data-slider-number]");
      range.hidden = false;
      range.addEventListener("input", () => {
        number.value = range.value;
        number.dispatchEvent(new Event("input", { bubbles: true }));
      });
      number.addEventListener("input", () => { range.value = number.value; });
    });
    all("time[datetime]", root).forEach((time) => {
      const at = new Date(time.dateTime);
      if (!Number.isNaN(at.valueOf()) && !time.title) {
        time.title = time.textContent;
        time.textContent = at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
      }
    });
    all("[data-own-zone]", root).forEach((input) => {
      const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
      if (all("option", input.list).some((one) => one.value === zone)) input.value = zone;
    });
    all("form[data-preview]", root).forEach(watchPreview);
    if (root.dataset?.preview) watchPreview(root);
  }

  // Parts that follow changes
  let refreshing = false;
  let again = false;
  async function refresh(always = false) {
    if (!always && !document.querySelector("[data-live], [data-document]")) return;
    if (refreshing) { again = true; return; }
    refreshing = true;
    try {
      // Any page has the new token; the address of a form that was refused is no page.
      const answer = await fetch(ended ? "/console" : location.href, { headers: HEADERS });
      if (answer.status === 401) { tellEnded(); return; }
      if (answer.status === 404) { tellGone(await answer.json()); return; }
      if (answer.ok && answer.headers.get("content-type").startsWith("text/html")) {
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
        if (ended) goOn(fresh); else draw(fresh);
      }
    } catch {
      // The server is being restarted; the stream says when it is back.
      if (always) tellLost();
    } finally {
      refreshing = false;
      if (again) { again = false; refresh(); }
    }
  }

  // What was typed is kept: who signs in again, in another tab, sends it from here.
  let ended = null;
  let heldAt = Date.now();
  const SURE_MS = 60_000;
  const isTyped = () => all("form").some((form) => form.dataset.touched) ||
    document.querySelector("[aria-invalid=true], form .notice.bad");
  function tellEnded() {
    lost?.remove();
    lost = null;
    if (!isTyped()) { location.reload(); return; }
    if (ended) return;
    ended = say("Your session has ended. What you typed stays here: ", "warn");
    const link = document.createElement("a");
    link.href = "/console/sign-in";
    link.target = "_blank";
    link.textContent = "sign in in another tab";
    ended.append(link, ", then come back and send it.");
  }
  function goOn(fresh) {
    takeToken(fresh.querySelector('meta[name="form-token"]').content);
    again = true;
  }
  function takeToken(fresh) {
    ended?.remove();
    ended = null;
    heldAt = Date.now();
    if (fresh === token) return;
    token = fresh;
    all("input[name=form_token]").forEach((input) => { input.value = token; });
  }

  let isGone = false;
  function tellGone(problem) {
    // A form that was refused stands at an address that only forms are sent to.
    if (isGone || problem.code !== "not_found" || /\/(save|preview)$/.test(location.pathname)) return;
    isGone = true;
    const text = "Somebody deleted this while you had it open. What stands here is how it was: ";
    const list = all(".crumbs a").at(-1)?.href ?? "/console";
    const forms = all("form[data-document]");
    forms.forEach((form) => warn(form, text, list, "see what there is now."));
    if (!forms.length) say("Somebody deleted this while you had it open.", "warn");
  }

  // A question that is open is about what stands there: what is new waits for its answer.
  let isLate = false;

  function draw(fresh) {
    if (document.querySelector("dialog[open]")) { isLate = true; return; }
    all("[data-live][id]").forEach((old) => {
      const made = fresh.getElementById(old.id);
      if (!made || made.outerHTML === old.dataset.source || isInUse(old)) return;
      const source = made.outerHTML;
      const added = document.importNode(made, true);
      swap(old, added);
      added.dataset.source = source;
    });
    all("form[data-document]").forEach((form) => {
      const other = all("form[data-document]", fresh)
        .find((one) => one.dataset.document === form.dataset.document);
      if (!other || other.dataset.state === form.dataset.state) return;
      if (!isTouched(form)) {
        swap(form, document.importNode(other, true));
      } else if (form.dataset.warned !== other.dataset.state) {
        form.dataset.warned = other.dataset.state;
        const by = other.dataset.changedBy ? ` by ${other.dataset.changedBy}` : "";
        const text = `This was changed${by} while you were editing. Send it to see what differs, or `;
        warn(form, text, location.href, "start from its new state.");
      }
    });
  }

  // What takes the place of something is opened, scrolled and focused as that was.
  function swap(old, added) {
    const open = all("details", old).map((one) => one.open);
    const scrolled = all(".table-wrap", old).map((one) => one.scrollLeft);
    const twin = old.contains(document.activeElement) ? twinIn(added, old) : null;
    all("details", added).forEach((one, i) => { one.open = open[i] ?? one.open; });
    old.replaceWith(added);
    all(".table-wrap", added).forEach((one, i) => { one.scrollLeft = scrolled[i] ?? 0; });
    enhance(added);
    twin?.focus();
  }
  // By what it does and not by its place: the button of another line must not be pressed for it.
  function twinIn(added, old) {
    const reached = "a, button, summary, input, select, textarea, [tabindex]";
    const name = nameOf(document.activeElement);
    const isAlike = (one) => nameOf(one) === name;
    const nth = all(reached, old).filter(isAlike).indexOf(document.activeElement);
    return all(reached, added).filter(isAlike)[nth];
  }
  function nameOf(one) {
    const form = one.closest("form.inline");
    const sent = form ? [form.action, ...new FormData(form).values()] : [];
    return [one.tagName, one.name, one.href, one.getAttribute("aria-label") ?? one.textContent, ...sent]
      .join("\n");
  }

  function warn(form, text, address, name) {
    form.querySelector("[data-warning]")?.remove();
    const notice = document.createElement("div");
    notice.className = "notice warn";
    notice.dataset.warning = "";
    notice.setAttribute("role", "alert");
    const line = document.createElement("p");
    const link = document.createElement("a");
    link.href = address;
    link.textContent = name;
    line.append(text, link);
    notice.append(line);
    form.prepend(notice);
  }

  // Changes by anyone, while the page is in view: a browser opens few connections to one server.
  let stream = null;
  let lost = null;
  function tellLost() {
    lost ??= say("The server does not answer. This page waits for it.", "warn");
  }
  function listen() {
    const address = document.body.dataset.changes;
    if (!address || document.hidden || stream) return;
    stream = new EventSource(address);
    stream.onmessage = (event) => {
      const revision = event.data && event.lastEventId.split("-")[0];
      if (revision !== document.body.dataset.revision || lost) {
        document.body.dataset.revision = revision;
        refresh();
      }
    };
    stream.onopen = () => {
      if (!lost) return;
      lost.remove();
      lost = null;
      refresh();
    };
    stream.onerror = () => {
      // An answer that is no stream ends it for good: the session may be over, which asking tells.
      if (stream.readyState === EventSource.CLOSED) {
        stream = null;
        refresh(true);
        setTimeout(listen, 2000);
      } else {
        tellLost();
      }
    };
  }
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { stream?.close(); stream = null; } else { listen(); refresh(ended !== null); }
  });
  all("[data-refresh]").forEach((element) => {
    setInterval(() => { if (!document.hidden) refresh(); }, 1000 * element.dataset.refresh);
  });

  // A dialog before what is hard to take back
  addEventListener("submit", (event) => {
    const form = event.target;
    const question = event.submitter?.dataset.confirm ?? form.dataset.confirm;
    if (!question || form.dataset.confirmed) return;
    event.preventDefault();
    const dialog = document.createElement("dialog");
    const text = document.createElement("p");
    text.textContent = question;
    text.id = "dialog-question";
    dialog.setAttribute("aria-labelledby", text.id);
    const buttons = document.createElement("div");
    buttons.className = "buttons";
    const no = button("Cancel", "ghost");
    const yes = button(event.submitter?.textContent.trim() || "Yes", "danger");
    buttons.append(no, yes);
    dialog.append(text, buttons);
    no.onclick = () => dialog.close();
    yes.onclick = () => {
      form.dataset.confirmed = "1";
      dialog.close();
      form.requestSubmit(event.submitter);
    };
    dialog.onclose = () => {
      dialog.remove();
      if (isLate) { isLate = false; refresh(); }
    };
    document.body.append(dialog);
    dialog.showModal();
    no.focus();
  });
  // Nothing may have told that the session has ended. On a page that was open for a while what was
  // typed is sent once the session is known to hold; on a fresh one at once, as the browser does.
  addEventListener("submit", async (event) => {
    const { target: form, submitter } = event;
    if (event.defaultPrevented || form.method !== "post" || !document.body.dataset.changes) return;
    const isSure = !ended && Date.now() - heldAt < SURE_MS;
    if (isSure || !isTyped() || form.dataset.asked === "yes") return;
    event.preventDefault();
    if (form.dataset.asked) return;
    form.dataset.asked = "now";
    // A server that does not answer at all is the browser's to tell.
    const answer = await fetch("/console/session", { headers: HEADERS }).catch(() => null);
    delete form.dataset.asked;
    if (answer?.status === 401) { tellEnded(); return; }
    if (answer?.ok) takeToken(await answer.text());
    form.dataset.asked = "yes";
    form.requestSubmit(submitter);
    delete form.dataset.asked;
  });
  function button(text, tone) {
    const made = document.createElement("button");
    made.type = "button";
    made.className = `button ${tone}`;
    made.textContent = text;
    return made;
  }

  // A choice that other fields depend on
  addEventListener("change", (event) => {
    document.getElementById(event.target.dataset?.submits ?? "")?.click();
  });

  // A preview beside a form
  function watchPreview(form) {
    let timer = 0;
    let asked = 0;
    const ask = async () => {
      const target = document.getElementById(form.dataset.previewTarget);
      if (!target) return;
      const mine = ++asked;
      target.setAttribute("aria-busy", "true");
      try {
        const answer = await fetch(form.dataset.preview, {
          method: "POST",
          headers: { ...HEADERS, "X-Form-Token": token },
          body: new URLSearchParams([...new FormData(form)].filter(([, v]) => typeof v === "string")),
        });
        if (answer.status === 401) tellEnded();
        if (mine !== asked || !answer.ok) return;
        const made = new DOMParser().parseFromString(await answer.text(), "text/html");
        target.replaceChildren(...[...made.body.childNodes].map((one) => document.importNode(one, true)));
        enhance(target);
      } catch {
        // Whatever was shown stays; sending the form says what is wrong.
      } finally {
        if (mine === asked) target.removeAttribute("aria-busy");
      }
    };
    form.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(ask, 250);
    });
    // Enter in a search goes to what is found, and does not save what is half written.
    form.addEventListener("keydown", async (event) => {
      if (event.key !== "Enter" || event.target.type !== "search") return;
      event.preventDefault();
      clearTimeout(timer);
      await ask();
      const target = document.getElementById(form.dataset.previewTarget);
      const add = target?.querySelector("button[name=add]");
      if (add) add.focus(); else target?.scrollIntoView({ block: "nearest" });
    });
  }

  // A picture that the shop does not have leaves its place and not a broken sign.
  const hideMissing = (picture) => {
    const place = document.createElement("span");
    place.className = picture.className;
    if (picture.className) picture.replaceWith(place); else picture.remove();
  };
  addEventListener("error", (event) => {
    if (event.target instanceof HTMLImageElement) hideMissing(event.target);
  }, true);
  all("img").filter((one) => one.complete && !one.naturalWidth && one.src).forEach(hideMissing);

  all("[data-toast].good").forEach((toast) => setTimeout(() => toast.remove(), 8000));
  // On a narrow screen the menu is a strip, and where one is may lie outside of it.
  document.querySelector(".menu [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  enhance(document);
  // Of a form that was refused: what is wrong may stand far below.
  document.querySelector("main [aria-invalid=true]")?.focus();
  listen();
})();
