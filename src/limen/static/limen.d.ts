/** A storage of your own, for one limen. */
export interface LimenStorage {
  /**
   * Replace the stored text by what `change` makes of it; null is nothing. Reading and writing must
   * be one step, also for other tabs. `change` may be called again, on what is stored then.
   */
  update(change: (text: string | null) => string | null): Promise<unknown>;
}

export interface LimenOptions {
  /** Where limen is; by default, where this module came from. */
  url?: string | URL;
  /** `"memory"` (the default), `"session"`, `"local"`, or your own. */
  storage?: "memory" | "session" | "local" | LimenStorage;
  /** Origins beside limen's own that are given the access token. */
  origins?: ReadonlyArray<string | URL>;
  /** Milliseconds until an answer counts as lost; 20,000 by default; more than 30,000 is 30,000. */
  timeout?: number;
  /** Of the sign-in alone; `"include"` lets a limen of another origin keep its device cookie. */
  credentials?: RequestCredentials;
}

/** Why something was not done. Holds no token, no e-mail address and no password. */
export class LimenError extends Error {
  constructor(message: string, facts?: { status?: number; code?: string; retryAfter?: number });
  /** 0: there was no answer. */
  readonly status: number;
  /** limen's own code, or `unreachable`, `unexpected_answer`, `storage_failed`. */
  readonly code: string;
  /** Seconds. */
  readonly retryAfter?: number;
}

/** The event of signing in and out, in this tab or in another one. */
export class ChangeEvent extends Event {
  constructor(signedIn: boolean);
  readonly signedIn: boolean;
}

export class Limen extends EventTarget {
  constructor(options?: LimenOptions);
  /** Resolves when the storage has been read for the first time. */
  readonly ready: Promise<void>;
  /** Whether somebody is signed in; undefined until `ready`. */
  readonly signedIn: boolean | undefined;
  onchange: ((event: ChangeEvent) => void) | null;
  /** Start a session; one that there was before ends. Throws a `LimenError`. */
  signIn(email: string, password: string): Promise<void>;
  /** End the session: here at once, and at limen before this resolves. Throws a `LimenError`. */
  signOut(): Promise<void>;
  /** `fetch` with the access token, for limen's own origin and those that were named. */
  fetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response>;
  /** A good access token, for what cannot be fetched; null if nobody is signed in. */
  token(): Promise<string | null>;
  /** Let go of what listens. The tokens stay. */
  close(): void;
  addEventListener(
    type: "change",
    listener: ((event: ChangeEvent) => void) | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
}
