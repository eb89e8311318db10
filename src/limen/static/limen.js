/**
 * limen.js: signs a browser in, keeps it signed in, and lends the access token to its requests.
 *
 *     import { Limen } from "/limen.js";
 *     const limen = new Limen({ storage: "local" });
 *     limen.onchange = () => show(limen.signedIn);
 *     await limen.signIn(email, password);
 *     const orders = await limen.fetch("/orders");
 *
 * A refresh token works once, and using it again ends the session. What can go wrong with that is
 * what this file is about; limen's docs/refresh.md has the rules that it relies on.
 *
 *     two tabs refresh at once    one holds a Web Lock, the other one finds its result in the store.
 *                                 Where there are no locks, both send the same retry key: the store
 *                                 is changed in one step, so the first one's key is everybody's.
 *     the answer is lost          the retry key was in the store before the request left: whoever
 *                                 asks again, this tab or another one, gets the same answer.
 *     an answer comes late        it is written only over the very token that was sent.
 *     a tab has slept             there is no timer. Before each use the token's age is measured
 *                                 by this device's own two clocks; what the time is, nobody asks.
 *     limen is away               nothing is forgotten. Only the answer 401 invalid_refresh_token
 *                                 to the token that is still in the store signs out.
 */

// A token is renewed so long before its end, or in the last quarter of a shorter life: seconds.
const AHEAD = 60;
// No answer: the server counts on it that none comes after half a minute. Milliseconds.
const TIMEOUT = 20_000;
const LONGEST_TIMEOUT = 30_000;
// After no answer, a 5xx or a 409, unless the answer names its own wait. Milliseconds.
const PAUSES = [1000, 2000, 4000];
// A longer Retry-After is for the application to heed. Milliseconds.
const LONGEST_PAUSE = 5000;
// What took longer to read was read before a sleep, and other tabs went on meanwhile. Milliseconds.
const SLEPT = 5000;
// Numbers that stay used: so many changes a tab may sleep through. A refresh makes two.
const REMEMBERED = 1000;
// A tab that was reloaded gets its lock back within this; a copy of a living tab never. Milliseconds.
const RELOADED = 2000;

const AUTH = "/api/v1/auth";

/** Why something was not done. Holds no token, no e-mail address and no password. */
export class LimenError extends Error {
  constructor(message, { status = 0, code = "unreachable", retryAfter } = {}) {
    super(message);
    this.name = "LimenError";
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

/** The event of signing in and out, in this tab or in another one. */
export class ChangeEvent extends Event {
  constructor(signedIn) {
    super("change");
    this.signedIn = signedIn;
  }
}

export class Limen extends EventTarget {
  onchange = null;

  #url;
  #origins;
  #timeout;
  #credentials;
  #name;
  #store;
  #known; // the id of the sign-in that was last announced; null: signed out; undefined: none yet
  #seen = {}; // the access token that this page knows, and since when by its monotonic clock
  #renewal; // the refresh that this page is waiting for
  #channel;
  #listening = new AbortController();

  constructor({
    url = new URL(".", import.meta.url),
    storage = "memory",
    origins = [],
    timeout = TIMEOUT,
    credentials = "same-origin",
  } = {}) {
    super();
    this.#url = httpUrl(url).href.replace(/\/+$/, "");
    this.#origins = new Set([url, ...origins].map((each) => httpUrl(each).origin));
    this.#timeout = Math.min(timeout, LONGEST_TIMEOUT);
    this.#credentials = credentials;
    this.#name = `limen:${this.#url}`;
    this.#store = storeNamed(storage, this.#name);
    this.addEventListener("change", (event) => this.onchange?.(event));
    this.#listen(storage === "local" || typeof storage === "object");
    this.ready = this.#look().then(() => this.#finishLeavingLater());
    this.ready.catch(() => {}); // whoever waits for it is told
  }

  /** Whether somebody is signed in; undefined until `ready`. */
  get signedIn() {
    return this.#known === undefined ? undefined : this.#known !== null;
  }

  /** Start a session; one that there was before ends. Throws a LimenError. */
  async signIn(email, password) {
    const sent = Date.now();
    const answer = await this.#ask("/login", { email, password }, {}, this.#credentials);
    if (!isPair(answer)) throw problem(answer);
    const session = { id: random(), ...kept(answer, sent) };
    await this.#update((state) => (state.session?.id === session.id ? state : { ...left(state), session }));
    await this.#announce();
    this.#finishLeavingLater();
  }

  /**
   * End the session: here at once, and at limen before this returns. If limen cannot be reached,
   * or will not yet, it throws, and asks again when a page is opened or the network is back.
   */
  async signOut() {
    await this.#update(left);
    await this.#announce();
    await this.#finishLeaving();
  }

  /** `fetch` with the access token, for limen's own origin and those that were named. */
  async fetch(input, init) {
    const request = new Request(input, init);
    const foreign = !this.#origins.has(new URL(request.url).origin);
    if (foreign || request.headers.has("Authorization")) return fetch(request);
    const session = await this.#fresh();
    const answer = await fetch(bearing(request, session));
    if (!session || !refuses(answer)) return answer;
    const next = await this.#fresh(session.access).catch(() => null); // limen is away: the answer is here
    if (next?.id !== session.id || next.access === session.access) return answer;
    if (!isRepeatable(request, answer)) return answer;
    answer.body?.cancel();
    return fetch(bearing(request, next));
  }

  /** A good access token, for what cannot be fetched, such as a WebSocket; null if signed out. */
  async token() {
    return (await this.#fresh())?.access ?? null;
  }

  /** Let go of what listens. The tokens stay. */
  close() {
    this.#listening.abort();
    this.#channel?.close();
    this.#channel = undefined;
  }

  /** The session, with an access token that is not about to end, and is not `refused`. */
  async #fresh(refused) {
    const session = await this.#read();
    if (!session) return null;
    if (!this.#isWorn(session, refused)) return session;
    try {
      this.#renewal ??= this.#renewOnce(session.access);
      return await this.#renewal;
    } catch (error) {
      // Ahead of its end the token is still good, whatever kept us from renewing it.
      if (session.access === refused || this.#age(session) >= session.lifetime) throw error;
      return session;
    }
  }

  async #renewOnce(worn) {
    try {
      return await this.#exclusive(() => this.#renew(worn));
    } finally {
      this.#renewal = undefined;
      await this.#announce();
    }
  }

  /** Exchange the stored pair if its access token is worn; give the session as it is then. */
  async #renew(worn) {
    let answer, session;
    for (const pause of [0, ...PAUSES]) {
      // Another tab may have been faster.
      if (answer && (await this.#read())?.refresh === session.refresh) await wait(answer.retryAfter ?? pause);
      session = await this.#keyed(worn);
      if (!session || !this.#isWorn(session, worn)) return session;
      const sent = Date.now();
      answer = await this.#ask(
        "/refresh",
        { refresh_token: session.refresh },
        { "Idempotency-Key": session.key },
      );
      if (isPair(answer)) return this.#replace(session, { id: session.id, ...kept(answer, sent, session) });
      if (answer.status === 401 && answer.said.code === "invalid_refresh_token") {
        if (!(await this.#replace(session, null))) return null;
      } else if (!isPassing(answer)) break;
    }
    throw problem(answer);
  }

  /** The session, with a retry key if it is to be sent: in the store before anything is sent. */
  async #keyed(worn) {
    const isKeyless = (session) => session && !session.key && this.#isWorn(session, worn);
    const keyed = ({ session, ...rest }) => ({ ...rest, session: { ...session, key: random() } });
    let session;
    do {
      ({ session } = await this.#update((state) => (isKeyless(state.session) ? keyed(state) : state)));
    } while (isKeyless(session)); // it is another one, and was read after a sleep
    return session;
  }

  /** Put `next` where the session was that was sent, if it is still there; give what is there. */
  async #replace({ refresh, key }, next) {
    const replaced = (state) => {
      const { session } = state;
      const isThere = session?.refresh === refresh && (session.key === key || !next);
      return isThere ? { ...state, session: next } : state;
    };
    try {
      return (await this.#update(replaced)).session;
    } catch {
      return next; // the store keeps the token before and its key, which get the same answer again
    }
  }

  /** Run `work` while no other tab does, but wait for no tab that hangs: the keys are enough. */
  async #exclusive(work) {
    const locks = globalThis.navigator?.locks;
    if (!locks) return work();
    let entered = false;
    const enter = () => {
      entered = true;
      return work();
    };
    const signal = AbortSignal.timeout(2 * this.#timeout);
    try {
      return await locks.request(this.#name, { signal }, enter);
    } catch (error) {
      if (entered) throw error;
      return work();
    }
  }

  async #read() {
    return (await this.#update()).session;
  }

  /**
   * Change what is stored, in one step that no other tab comes between; give what is stored then.
   * After a sleep it is read again, and not changed again: other tabs have gone on from the change.
   */
  async #update(change = (state) => state) {
    let state, began;
    const apply = (text) => {
      const before = stateOf(text);
      state = change(before);
      return state === before ? text : textOf(state);
    };
    do {
      began = Date.now();
      await this.#store.update(apply).catch(() => {
        throw new LimenError("The storage cannot be used.", { code: "storage_failed" });
      });
      change = (stored) => stored;
    } while (Date.now() - began > SLEPT);
    const access = state.session?.access;
    if (this.#seen.access !== access) this.#seen = { access, since: performance.now() };
    return state;
  }

  #isWorn(session, worn) {
    const ahead = Math.min(AHEAD, session.lifetime / 4);
    const setBack = Date.now() < session.at;
    return session.access === worn || setBack || this.#age(session) >= session.lifetime - ahead;
  }

  /** Seconds since the token was asked for, by the clock that has seen more of them. */
  #age({ at, access }) {
    const byClock = Date.now() - at; // goes on while the device sleeps
    const since = this.#seen.access === access ? this.#seen.since : performance.now();
    return Math.max(byClock, performance.now() - since) / 1000; // which nobody can set
  }

  /** POST to limen. Whatever happens on the way, there is an answer; status 0: there was none. */
  async #ask(path, body, headers = {}, credentials = "omit") {
    try {
      const response = await fetch(this.#url + AUTH + path, {
        method: "POST",
        headers: { "Content-Type": "application/json", ...headers },
        body: JSON.stringify(body),
        credentials, // for the cookie that names the device, which matters when signing in only
        cache: "no-store",
        redirect: "error",
        keepalive: path === "/logout", // also when it was the last thing the page did
        signal: AbortSignal.timeout(this.#timeout),
      });
      const seconds = /^[1-9]\d*$/.exec(response.headers.get("Retry-After"))?.[0];
      const said = (await response.json().catch(() => null)) ?? {};
      return { status: response.status, said, retryAfter: seconds && seconds * 1000 };
    } catch {
      return { status: 0, said: {} };
    }
  }

  /** Tell limen which sessions have ended, and then forget them. */
  async #finishLeaving() {
    for (const token of (await this.#update()).leaving) {
      await this.#leave(token);
      await this.#update((state) => ({
        ...state,
        leaving: state.leaving.filter((other) => other !== token),
      }));
    }
  }

  #finishLeavingLater() {
    this.#finishLeaving().catch(() => {});
  }

  async #leave(token) {
    let answer;
    for (const pause of [0, ...PAUSES]) {
      if (answer) await wait(answer.retryAfter ?? pause);
      answer = await this.#ask("/logout", { refresh_token: token });
      if (!isUndecided(answer) && answer.status !== 429) return; // it is over, or limen never heard of it
      if (!isPassing(answer)) break;
    }
    throw problem(answer);
  }

  #listen(isShared) {
    const { signal } = this.#listening;
    const look = () => void this.#look().catch(() => {});
    if (isShared && globalThis.BroadcastChannel) {
      this.#channel = new BroadcastChannel(this.#name);
      this.#channel.onmessage = look;
    }
    // A page that was put aside has heard nothing.
    globalThis.addEventListener?.("pageshow", look, { signal });
    globalThis.document?.addEventListener("visibilitychange", look, { signal });
    globalThis.addEventListener?.("online", () => this.#finishLeavingLater(), { signal });
  }

  /** Say that something has changed. It has, also if nobody can be told. */
  async #announce() {
    this.#channel?.postMessage(null);
    await this.#look().catch(() => {});
  }

  /** Read the store; tell the application if somebody else is signed in now, or nobody. */
  async #look() {
    const { session } = await this.#update();
    const id = session?.id ?? null;
    if (id === this.#known) return;
    this.#known = id;
    this.dispatchEvent(new ChangeEvent(id !== null));
  }
}

function httpUrl(text) {
  const url = new URL(text, globalThis.location?.href);
  if (/^https?:$/.test(url.protocol)) return url;
  throw new TypeError("limen.js: give http or https addresses, such as { url: 'https://login.example.com' }");
}

function storeNamed(storage, name) {
  if (storage === "local") return new Database(name);
  if (storage === "memory") return new Memory();
  if (storage === "session") return new OwnSession(name);
  if (typeof storage?.update === "function") return storage;
  throw new TypeError("limen.js: storage is 'memory', 'session', 'local' or has the method update");
}

/** For this page alone. */
class Memory {
  #text = null;

  async update(change) {
    this.#text = change(this.#text);
  }
}

/**
 * For all tabs, until somebody signs out. In IndexedDB, because localStorage is no shared memory:
 * even under a Web Lock a tab may read what was there before, and write it back.
 *
 * Versions are numbered, and there is one of each number: a tab that others have overtaken, by one
 * version or by many, cannot add its own, and begins again. So a number stays when its text is gone.
 * No transaction waits for a page, which may be frozen.
 */
class Database {
  #name;
  #opened;

  constructor(name) {
    this.#name = name;
  }

  async update(change) {
    let before, text;
    do {
      const newest = await this.#run("readonly", (rows) => rows.openCursor(null, "prev"));
      before = newest?.value ?? { number: 0, text: null };
      text = change(before.text);
    } while (text !== before.text && !(await this.#add({ number: before.number + 1, text })));
  }

  async #add(version) {
    try {
      await this.#run("readwrite", (rows) => {
        rows.delete(IDBKeyRange.upperBound(version.number - REMEMBERED));
        rows.put({ number: version.number - 1, text: null });
        return rows.add(version);
      });
      return true;
    } catch (error) {
      if (error?.name === "ConstraintError") return false;
      throw error;
    }
  }

  async #run(mode, work) {
    this.#opened ??= this.#open();
    const opened = this.#opened;
    try {
      const transaction = (await opened).transaction("versions", mode);
      const request = work(transaction.objectStore("versions"));
      transaction.commit?.();
      return await new Promise((done, fail) => {
        transaction.oncomplete = () => done(request.result);
        transaction.onabort = () => fail(transaction.error ?? request.error);
      });
    } catch (error) {
      if (error?.name !== "ConstraintError") this.#reopenAfter(opened);
      throw error;
    }
  }

  /** Whatever is wrong with a connection, the next one may be without it. */
  #reopenAfter(opened) {
    if (this.#opened === opened) this.#opened = undefined;
    opened.then((database) => database.close(), () => {});
  }

  async #open() {
    const opening = indexedDB.open(this.#name, 1);
    opening.onupgradeneeded = () => {
      opening.result.createObjectStore("versions", { keyPath: "number" });
    };
    await new Promise((done, fail) => {
      opening.onsuccess = done;
      opening.onerror = () => fail(opening.error);
    });
    opening.result.onclose = () => (this.#opened = undefined); // its files were cleared away
    return opening.result;
  }
}

/**
 * For this tab, and no copy of it. "Duplicate tab" copies sessionStorage, and two stores with one
 * refresh token are a replay. A living tab holds a lock by its name; who cannot have the lock is a
 * copy and begins empty. Without locks nothing would show a copy, so the tokens stay in memory.
 */
class OwnSession {
  static #owned = new Map(); // by name, so that two Limens of one page are one tab
  #store;

  constructor(name) {
    if (!OwnSession.#owned.has(name)) OwnSession.#owned.set(name, OwnSession.#own(name));
    this.#store = OwnSession.#owned.get(name);
  }

  async update(change) {
    (await this.#store).update(change);
  }

  static async #own(name) {
    if (!globalThis.navigator?.locks) return new Memory();
    const tab = sessionStorage.getItem(`${name}:tab`);
    if (!tab || !(await isHeld(tab, RELOADED))) {
      sessionStorage.removeItem(name);
      sessionStorage.setItem(`${name}:tab`, random());
      await isHeld(sessionStorage.getItem(`${name}:tab`), RELOADED);
    }
    return { update: (change) => changeItem(sessionStorage, name, change) };
  }
}

function changeItem(items, name, change) {
  const text = change(items.getItem(name));
  if (text === null) items.removeItem(name);
  else items.setItem(name, text);
}

/** Take a lock until the page ends; tell whether it could be had. */
function isHeld(name, milliseconds) {
  return new Promise((tell) => {
    const forever = () => {
      tell(true);
      return new Promise(() => {});
    };
    const patience = AbortSignal.timeout(milliseconds);
    navigator.locks.request(`limen:tab:${name}`, { signal: patience }, forever).catch(() => tell(false));
  });
}

function isPair({ status, said }) {
  const texts = [said.access_token, said.refresh_token].every((token) => typeof token === "string");
  return status === 200 && texts && said.expires_in > 0;
}

/**
 * What is stored of an answer. It was made after `sent`, so the token lives longer than we think. A
 * retry key belongs to its token: the same token again leaves the key, since a late double of the
 * request would otherwise meet another one.
 */
function kept({ said }, sent, before) {
  const { access_token: access, refresh_token: refresh, expires_in: lifetime } = said;
  const key = refresh === before?.refresh ? before.key : undefined;
  return { access, refresh, lifetime, at: sent, key };
}

/** Whether nothing was decided. What is no answer of limen's, such as a portal's page, decides nothing. */
function isUndecided({ status, said }) {
  const known = status === 204 || typeof said.code === "string";
  return status === 0 || status >= 500 || status === 409 || status === 408 || !known;
}

/** Whether to ask again soon. */
function isPassing(answer) {
  return isUndecided(answer) && !(answer.retryAfter > LONGEST_PAUSE);
}

function problem({ status, said, retryAfter }) {
  const { code, detail } = said;
  if (status === 0) return new LimenError("limen cannot be reached. Nothing was decided.");
  if (typeof code !== "string") {
    return new LimenError("What answered is not limen: check the url.", { status, code: "unexpected_answer" });
  }
  return new LimenError(String(detail), { status, code, retryAfter: retryAfter && retryAfter / 1000 });
}

/** Whether a guard has refused the token, and not the application something of its own. */
function refuses({ status, headers, type }) {
  const challenge = headers.get("WWW-Authenticate");
  const hidden = !challenge && type === "cors"; // another origin has to expose it
  return status === 401 && (hidden || !!challenge?.includes("invalid_token"));
}

/** Whether what was refused is the request itself, and not only what a redirect made of it. */
function isRepeatable({ method }, answer) {
  return !answer.redirected || method === "GET" || method === "HEAD";
}

function bearing(request, session) {
  const sent = request.clone();
  if (session) sent.headers.set("Authorization", `Bearer ${session.access}`);
  return sent;
}

/** What is stored: the session, if there is one, and the refresh tokens of those to be ended. */
function stateOf(text) {
  try {
    const { session = null, leaving = [] } = JSON.parse(text);
    return { session, leaving };
  } catch {
    return { session: null, leaving: [] }; // nothing yet, or not ours
  }
}

function textOf(state) {
  return state.session || state.leaving.length ? JSON.stringify(state) : null;
}

/** Nobody is signed in any more; limen has to be told. */
function left({ session, leaving }) {
  return { session: null, leaving: session ? [...leaving, session.refresh] : leaving };
}

function random() {
  const bytes = crypto.getRandomValues(new Uint8Array(24));
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_");
}

function wait(milliseconds) {
  return new Promise((done) => setTimeout(done, milliseconds));
}
