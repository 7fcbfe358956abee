// A page with the OpenFeature web SDK, driven by a test: one JSON command a line on standard input,
// one JSON answer a line on standard output.

import { createInterface } from "node:readline";
import { OFREPWebProvider } from "@openfeature/ofrep-web-provider";
import { OpenFeature, ProviderEvents } from "@openfeature/web-sdk";
import { EventSource } from "./event_source.mjs";

globalThis.EventSource = EventSource;
const [baseUrl, key] = process.argv.slice(2);
const requests = [];
const changes = [];
const waiting = [];

async function watchedFetch(request, options) {
  const sent = { etagSent: request.headers.get("If-None-Match"), url: request.url };
  const response = await fetch(request, options);
  requests.push({ ...sent, status: response.status, etag: response.headers.get("ETag") });
  return response;
}

const provider = () =>
  new OFREPWebProvider({
    baseUrl,
    cacheMode: "disabled",
    fetchImplementation: watchedFetch,
    headersFactory: () => [["X-API-Key", key]],
  });

OpenFeature.addHandler(ProviderEvents.ConfigurationChanged, (details) => {
  changes.push(details.flagsChanged);
  waiting.splice(0).forEach((wake) => wake());
});

const commands = {
  async start({ context }) {
    await OpenFeature.setContext(context);
    await OpenFeature.setProviderAndWait(provider());
  },
  context: ({ context }) => OpenFeature.setContext(context),
  details: ({ type, key, fallback }) => OpenFeature.getClient()[`get${type}Details`](key, fallback),
  requests: () => requests.splice(0),
  async change({ flag }) {
    while (!changes.some((flags) => flags?.includes(flag))) {
      await new Promise((resolve) => waiting.push(resolve));
    }
    return changes.splice(0);
  },
  async stop() {
    await OpenFeature.close();
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { command, ...options } = JSON.parse(line);
  let answer;
  try {
    answer = { ok: (await commands[command](options)) ?? null };
  } catch (error) {
    answer = { error: `${error.code ?? error.name}: ${error.message}` };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit(0);
