// Node has no EventSource: what a browser's does with a stream, as far as the provider can see it.

export class EventSource extends EventTarget {
  readyState = 0;
  #lastEventId = "";
  #abort = new AbortController();

  constructor(url) {
    super();
    this.url = url;
    this.#run();
  }

  close() {
    this.readyState = 2;
    this.#abort.abort();
  }

  async #run() {
    while (this.readyState !== 2) {
      try {
        await this.#listen();
      } catch {
        if (this.readyState === 2) return;
      }
      if (this.readyState === 2) return;
      this.readyState = 0;
      this.dispatchEvent(new Event("error"));
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  async #listen() {
    const headers = { Accept: "text/event-stream" };
    if (this.#lastEventId) headers["Last-Event-ID"] = this.#lastEventId;
    const response = await fetch(this.url, { headers, signal: this.#abort.signal });
    if (response.status !== 200) {
      this.readyState = 2;
      this.dispatchEvent(new Event("error"));
      return;
    }
    this.readyState = 1;
    this.dispatchEvent(new Event("open"));
    let text = "";
    for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      const blocks = text.split("\n\n");
      text = blocks.pop();
      blocks.forEach((block) => this.#dispatch(block.split("\n")));
    }
  }

  #dispatch(lines) {
    const field = (name) =>
      lines.filter((line) => line.startsWith(`${name}: `)).map((line) => line.slice(name.length + 2));
    if (field("id").length) this.#lastEventId = field("id").at(-1);
    const data = field("data");
    if (data.length) this.dispatchEvent(new MessageEvent("message", { data: data.join("\n") }));
  }
}
