/** What `endcap.js` puts into a page; see docs/guides/browser.md. */

export interface ServedItem {
  id: string;
  position: number;
  score: number | null;
  source: string;
  because: string | null;
  propensity: number;
  attributes: Record<string, unknown>;
}

export interface ServedBanner {
  id: string;
  position: number;
  title: string;
  image_url: string;
  link_url: string;
  source: string;
  propensity: number;
}

interface AnySlate {
  id: string;
  exposure_id: string;
  tier: "personal" | "segment" | "popular" | "static";
  /** Why it is less personal than wished; `disabled` and `not_configured` are empty. */
  degraded: string | null;
  rollout: { key: string; variant: string; reason: string; epoch: number; detail: string | null } | null;
}

export type Slate =
  | (AnySlate & { kind: "items"; items: ServedItem[] })
  | (AnySlate & { kind: "banners"; banners: ServedBanner[] });

interface AnyEvent {
  exposure_id?: string;
  event_id?: string;
  /** By the device's clock, which the service puts right; else now. */
  timestamp?: string | number;
  preview?: boolean;
  /** These come from the script's tag, unless they are said here. */
  user_id?: string;
  anonymous_id?: string;
  session_id?: string;
  consent?: boolean;
  country?: string;
  channel?: string;
  platform?: string;
}

interface Line {
  item_id: string;
  quantity?: number;
  price?: number;
}

/** `event_id`, `timestamp` and who the visitor is are added. */
export type ShopEvent = AnyEvent &
  (
    | { event: "view"; item_id: string }
    | { event: "click"; item_id: string }
    | { event: "click"; banner_id: string }
    | ({ event: "add_to_cart" } & Line)
    | ({ event: "purchase" | "refund"; order_id?: string } & Line)
    | { event: "exposure"; grade: "rendered" | "viewable"; exposure_id: string; variant?: string }
  );

export interface Endcap {
  /** Ask for the marked elements under `root` that were not asked for yet. Never rejects. */
  serve(root?: ParentNode): Promise<void>;
  /** Queue an event and send it soon. Never throws. */
  track(event: ShopEvent): void;
  /** Send what is queued now. Never rejects. */
  flush(): Promise<void>;
}

declare global {
  /** Absent until the script has loaded: call it as `window.endcap?.track(...)`. */
  interface Window {
    endcap?: Endcap;
  }
  interface HTMLElementEventMap {
    /** A slate came; `preventDefault()` says that the page draws it itself, else what is written
        into it here is drawn. */
    endcap: CustomEvent<Slate>;
  }
  interface DocumentEventMap {
    /** The same, which bubbles. */
    endcap: CustomEvent<Slate>;
  }
}
