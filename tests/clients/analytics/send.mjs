// Sends one shopper's visit with a real library: node send.mjs LIBRARY ADDRESS KEY
// What the library was answered is one line of JSON on standard output.

import { createRequire } from "node:module";

const [library, address, key] = process.argv.slice(2);
const product = { product_id: "mug", price: 6.5, quantity: 2 };
const order = { order_id: "1001", products: [product, { product_id: "cup", price: 3 }] };

async function rudderNode() {
  const RudderAnalytics = createRequire(import.meta.url)("@rudderstack/rudder-sdk-node");
  const client = new RudderAnalytics(key, { dataPlaneUrl: address, flushAt: 20 });
  const who = { userId: "u1", anonymousId: "a1" };
  client.identify({ ...who, traits: { plan: "gold" } });
  client.page({ ...who, name: "Home" });
  client.track({ ...who, event: "Product Added", properties: product, messageId: "rudder-1" });
  client.track({ ...who, event: "Order Completed", properties: order, messageId: "rudder-2" });
  await client.flush();
}

async function segmentNode() {
  const { Analytics } = await import("@segment/analytics-node");
  const client = new Analytics({ writeKey: key, host: address, flushAt: 20, maxRetries: 1 });
  const who = { userId: "u2", anonymousId: "a2" };
  client.on("error", (error) => { throw new Error(`${error.code}: ${error.reason}`); });
  client.identify({ ...who, traits: { plan: "gold" } });
  client.page({ ...who, name: "Home" });
  client.track({ ...who, event: "Product Viewed", properties: product, messageId: "segment-1" });
  client.track({ ...who, event: "Order Completed", properties: order, messageId: "segment-2" });
  await client.closeAndFlush();
}

// A page of the shop with a script of a package, and what became of the calls it makes.
async function openPage(script) {
  const { JSDOM, VirtualConsole } = await import("jsdom");
  const { readFileSync } = await import("node:fs");
  const console = new VirtualConsole();
  console.on("error", (...parts) => process.stderr.write(`${parts.join(" ")}\n`));
  const page = new JSDOM("<title>Home</title>", {
    url: "http://shop.example/",
    runScripts: "outside-only",
    pretendToBeVisual: true,
    virtualConsole: console,
  });
  const sent = { beacons: [], nAnswered: 0 };
  // jsdom has no beacon: what the library hands over is sent as a browser would, without headers.
  page.window.navigator.sendBeacon = (url, body) => {
    const reader = new page.window.FileReader();
    sent.beacons.push(new Promise((resolve, reject) => {
      reader.onload = () => fetch(url, { method: "POST", body: reader.result }).then(resolve, reject);
      reader.readAsText(body);
    }));
    return true;
  };
  const { prototype } = page.window.XMLHttpRequest;
  const { open } = prototype;
  prototype.open = function (method, url, ...rest) {
    const isSending = method.toUpperCase() === "POST";
    this.addEventListener("load", () => { sent.nAnswered += isSending && this.status === 200; });
    return open.call(this, method, url, ...rest);
  };
  page.window.eval(readFileSync(`node_modules/${script}`, "utf8"));
  return { page, sent };
}

async function eventually(isSent) {
  // Longer than the half minute after which a library sends by itself what a flush came too early for.
  const end = Date.now() + 60_000;
  while (!isSent() && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 50));
  if (!isSent()) throw new Error("not all was sent");
}

async function rudderBrowser(useBeacon) {
  const script = "@rudderstack/analytics-js/dist/npm/modern/bundled/umd/index.js";
  const { page, sent } = await openPage(script);
  const { RudderAnalytics } = page.window.rudderanalytics ?? page.window;
  const client = new RudderAnalytics();
  client.load(key, address, {
    configUrl: address,
    useBeacon,
    beaconQueueOptions: { maxItems: 4 },
    logLevel: "ERROR",
  });
  await new Promise((resolve) => client.ready(resolve));
  client.setAnonymousId("a3");
  client.track("Product Clicked", product);
  client.identify("u3", { plan: "gold" });
  client.track("Order Completed", order);
  client.page("Home");
  await eventually(() => (useBeacon ? sent.beacons.length === 1 : sent.nAnswered === 4));
  const answers = await Promise.all(sent.beacons);
  if (answers.some((answer) => !answer.ok)) throw new Error(`beacon: ${answers[0].status}`);
}

async function segmentBrowser() {
  const { page, sent } = await openPage("@segment/analytics-next/dist/umd/index.js");
  const load = (settings) =>
    page.window.AnalyticsNext.AnalyticsBrowser.load(
      { writeKey: key, cdnURL: address },
      { integrations: { "Segment.io": settings } },
    );
  const one = load({});
  one.setAnonymousId("a4");
  one.track("Product Clicked", product);
  one.identify("u4", { plan: "gold" });
  const batches = load({ deliveryStrategy: { strategy: "batching", config: { size: 2 } } });
  batches.track("Order Completed", order);
  batches.page("Home");
  await eventually(() => sent.nAnswered === 3);
}

async function segmentPhone() {
  const { send } = createRequire(import.meta.url)("./phone.cjs");
  await send({ key, address, product, order, eventually });
}

const libraries = {
  "rudder-node": rudderNode,
  "segment-node": segmentNode,
  "rudder-browser": () => rudderBrowser(false),
  "rudder-beacon": () => rudderBrowser(true),
  "segment-browser": segmentBrowser,
  "segment-phone": segmentPhone,
};
await libraries[library]();
process.exit(0);
