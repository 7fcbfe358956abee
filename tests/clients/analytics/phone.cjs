// Segment's library for React Native as on a phone, without the phone: what it asks of React Native
// is answered here, and what it sends goes to the service. `send` is one shopper's visit.

const Module = require("node:module");

const native = {
  appName: "Shop", appVersion: "1.0", buildNumber: "1", bundleId: "example.shop", locale: "de-DE",
  networkType: "wifi", osName: "Android", osVersion: "14", screenHeight: 2205, screenWidth: 1080,
  timezone: "Europe/Berlin", manufacturer: "Google", model: "Pixel 8", deviceName: "phone",
  deviceId: "d", deviceType: "android", screenDensity: 2.6,
};
const nothing = { remove() {} };
const phone = {
  react: { createContext: () => ({}) },
  "react-native-get-random-values": {},
  "react-native": {
    NativeModules: { AnalyticsReactNative: { getContextInfo: async () => native }, Sovran: {} },
    NativeEventEmitter: class { addListener() { return nothing; } },
    AppState: { currentState: "active", addEventListener: () => nothing },
    Platform: { OS: "android", select: (values) => values.android },
  },
};

exports.send = async ({ key, address, product, order, eventually }) => {
  const load = Module._load;
  Module._load = (name, ...rest) => phone[name] ?? load(name, ...rest);
  const { fetch } = globalThis, answered = [];
  // It takes nothing but HTTPS for an address, and sends to Segment where it is given another.
  const secure = address.replace("http:", "https:");
  globalThis.fetch = async (url, options) => {
    if (!url.startsWith(secure)) throw new Error(`sent elsewhere: ${url}`);
    const answer = await fetch(url.replace(secure, address), options);
    answered.push(`${options?.method ?? "GET"} ${answer.status}`);
    return answer;
  };
  globalThis.__DEV__ = false;
  const proxy = `${secure}/v1`;
  const client = require("@segment/analytics-react-native").createClient({
    writeKey: key, proxy, cdnProxy: proxy, useSegmentEndpoints: true, flushAt: 100, debug: false,
    storePersistor: { get: async () => undefined, set: async () => {} },
    errorHandler: (error) => { throw error; },
  });
  await eventually(() => answered.length === 1);
  await client.screen("Home");
  await client.track("Product Clicked", product);
  await client.identify("u5", { plan: "gold" });
  await client.track("Order Completed", order);
  await client.flush();
  await eventually(() => answered.length === 2);
  if (`${answered}` !== "GET 200,POST 200") throw new Error(`answered: ${answered}`);
};
