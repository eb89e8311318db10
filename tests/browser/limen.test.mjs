// limen.js in Node, against a limen that really listens, behind a network that loses answers.
// Tabs are Limens that share a store; the device's clock and limen's are moved together.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";
import { inspect } from "node:util";

import { Limen, LimenError } from "../../src/limen/static/limen.js";

const url = process.env.LIMEN_TEST_URL;
const ME = `${url}/api/v1/auth/me`;
const PASSWORD = "correct horse battery staple";
const TABS = 4;
const ROUNDS = Number(process.env.LIMEN_TEST_ROUNDS ?? 20);

// Pauses are short here, and time is set.
const [later, now] = [setTimeout, Date.now];
let pauses = [];
globalThis.setTimeout = (work, milliseconds, ...rest) => {
  if (rest.length) return later(work, milliseconds, ...rest); // it is one of Node's own fetch
  pauses.push(milliseconds);
  return later(work, milliseconds / 50);
};
let moved = 0;
Date.now = () => now() + 1000 * moved;

const weather = (kind) => fetch(`${url}/-/weather/${kind}`, { method: "POST" });

const refusals = (status, wait) => fetch(`${url}/-/refusals/${status}/${wait}`, { method: "POST" });

async function pass(seconds) {
  moved += seconds;
  await fetch(`${url}/-/tick/${seconds}`, { method: "POST" });
}

/** What all tabs share. */
class Shared {
  text = null;

  view() {
    return {
      update: async (change) => {
        await new Promise(setImmediate);
        this.text = change(this.text);
      },
    };
  }

  get state() {
    return JSON.parse(this.text);
  }
}

/** The store as a tab has it that falls asleep at one of its steps, before it or after it. */
class Sleeper {
  #store;
  #steps = 0;
  #stop = 0;
  #awake;
  wake = () => {};

  constructor(store) {
    this.#store = store;
  }

  sleepAt(step) {
    [this.#steps, this.#stop] = [0, step];
    this.#awake = new Promise((done) => (this.wake = done));
  }

  async update(change) {
    this.#steps++;
    if (this.#steps === this.#stop + 0.5) await this.#awake;
    const isLast = this.#steps === this.#stop;
    await this.#store.update(change);
    if (isLast) await this.#awake;
  }
}

/** navigator.locks, as far as it is used. */
class Locks {
  #turns = new Map();

  request(name, _options, work) {
    const turn = (this.#turns.get(name) ?? Promise.resolve()).then(work, work);
    this.#turns.set(name, turn.catch(() => {}));
    return turn;
  }
}

let people = 0;
async function signedIn(t, options = {}) {
  const email = `person${++people}@example.com`;
  const body = JSON.stringify({ email, password: PASSWORD });
  const headers = { "Content-Type": "application/json" };
  await fetch(`${url}/api/v1/auth/register`, { method: "POST", headers, body });
  const store = new Shared();
  const limen = new Limen({ url, storage: store.view(), timeout: 5000, ...options });
  t.after(() => limen.close());
  await limen.signIn(email, PASSWORD);
  return { limen, store, email };
}

const REFUSED = [401, { "WWW-Authenticate": 'Bearer error="invalid_token"' }];

/** An application of another origin, which gives the answers of `answers`; a Limen sends to it. */
async function shop(t, store, answers) {
  const sent = [];
  const server = createServer(async (request, response) => {
    const body = Buffer.concat(await request.toArray());
    sent.push(`${request.method} ${request.url} ${body}`);
    response.writeHead(...(await answers({ request, sent }))).end("said");
  }).listen(0, "127.0.0.1");
  t.after(() => server.close());
  await until(() => server.listening);
  const origin = `http://127.0.0.1:${server.address().port}`;
  const limen = new Limen({ url, origins: [origin], storage: store.view(), timeout: 5000 });
  t.after(() => limen.close());
  return { sent, send: (init) => limen.fetch(origin, init) };
}

function another(t, store) {
  const limen = new Limen({ url, storage: store.view(), timeout: 5000 });
  t.after(() => limen.close());
  return limen;
}

/** A tab that sleeps once, right after its next change, while something happens elsewhere. */
function sleepy(t, store, meanwhile = () => {}) {
  const view = store.view();
  let isDone = false;
  const update = async (change) => {
    const before = store.text;
    await view.update(change);
    if (isDone || store.text === before) return;
    isDone = true;
    await meanwhile();
    await pass(10);
  };
  return another(t, { view: () => ({ update }) });
}

const until = async (holds) => {
  while (!holds()) await new Promise((done) => later(done, 5));
};

test("a request carries the token, and the next one the same", async (t) => {
  const { limen } = await signedIn(t);
  const token = await limen.token();

  assert.equal((await limen.fetch(ME)).status, 200);
  assert.equal(await limen.token(), token);
});

test("a token is renewed a minute before its end, by one refresh", async (t) => {
  const { limen } = await signedIn(t);
  const token = await limen.token();
  await pass(1800 - 65);
  assert.equal(await limen.token(), token);
  await pass(10);

  const tokens = await Promise.all(Array.from({ length: 20 }, () => limen.token()));
  assert.equal(new Set(tokens).size, 1);
  assert.notEqual(tokens[0], token);
});

test("a refused token is renewed once, and the request repeated with its body", async (t) => {
  const { limen, store } = await signedIn(t);
  const refused = `${store.state.session.access.slice(0, -4)}AAAA`;
  store.text = JSON.stringify({ ...store.state, session: { ...store.state.session, access: refused } });
  const answer = await limen.fetch(ME);
  assert.equal(answer.status, 200);
  assert.notEqual(store.state.session.access, refused);

  const orders = await shop(t, store, ({ sent }) => (sent.length === 1 ? REFUSED : [201]));
  await pass(120); // or the same access token would be made again
  assert.equal((await orders.send({ method: "POST", body: "an order" })).status, 201);
  assert.deepEqual(orders.sent, ["POST / an order", "POST / an order"]);
});

test("what an application refuses of its own is not sent twice", async (t) => {
  const { store } = await signedIn(t);
  const { access } = store.state.session;
  for (const refusal of [[401], [401, { "WWW-Authenticate": "Bearer" }], [403, REFUSED[1]]]) {
    const orders = await shop(t, store, () => refusal);
    await pass(120);
    assert.equal((await orders.send({ method: "POST", body: "a wrong PIN" })).status, refusal[0]);
    assert.deepEqual(orders.sent, ["POST / a wrong PIN"]);
    assert.equal(store.state.session.access, access);
  }
});

test("what was done before a redirect is not done twice, and what only reads is read again", async (t) => {
  const { store } = await signedIn(t);
  const orders = await shop(t, store, ({ request, sent }) => {
    if (request.url === "/") return [303, { Location: "/done" }];
    return sent.length === 2 ? REFUSED : [200];
  });
  await pass(120);
  const { access } = store.state.session;
  assert.equal((await orders.send({ method: "POST", body: "an order" })).status, 401);
  assert.deepEqual(orders.sent, ["POST / an order", "GET /done "]);
  assert.notEqual(store.state.session.access, access); // the next request is not refused

  orders.sent.length = 0;
  await pass(120);
  assert.equal((await orders.send()).status, 200);
  assert.deepEqual(orders.sent, ["GET / ", "GET /done ", "GET / ", "GET /done "]);
});

test("nobody's request is repeated with the token of somebody else", async (t) => {
  const { limen, store } = await signedIn(t);
  const { email } = await signedIn(t);
  const orders = await shop(t, store, async () => {
    await limen.signIn(email, PASSWORD); // another tab of the store
    return REFUSED;
  });
  assert.equal((await orders.send({ method: "POST", body: "Ada's" })).status, 401);
  assert.deepEqual(orders.sent, ["POST / Ada's"]);
});

test("a refusal is handed on when limen is away and the token cannot be renewed", async (t) => {
  const { store } = await signedIn(t);
  const orders = await shop(t, store, () => REFUSED);
  await weather("dark");
  t.after(() => weather("calm"));
  const answer = await orders.send();
  assert.deepEqual([answer.status, await answer.text()], [401, "said"]);
});

test("the token goes to limen and to named origins, and nowhere else", async (t) => {
  const seen = [];
  const server = createServer((request, response) => {
    seen.push(request.headers.authorization?.slice(0, 7));
    response.end();
  }).listen(0, "127.0.0.1");
  t.after(() => server.close());
  await until(() => server.listening);
  const other = `http://127.0.0.1:${server.address().port}`;
  const { limen, store } = await signedIn(t);
  const named = new Limen({ url, origins: [other], storage: store.view() });
  t.after(() => named.close());

  await limen.fetch(other);
  await named.fetch(other);
  await named.fetch(other, { headers: { Authorization: "Basic mine" } });
  assert.deepEqual(seen, [undefined, "Bearer ", "Basic m"]);
});

test("a refresh token that comes again keeps its key", async (t) => {
  const { limen, store } = await signedIn(t);
  const refused = `${store.state.session.access.slice(0, -4)}AAAA`;
  const refuse = async () => {
    store.text = JSON.stringify({ ...store.state, session: { ...store.state.session, access: refused } });
    assert.equal((await limen.fetch(ME)).status, 200);
    return store.state.session;
  };
  const first = await refuse();
  const again = await refuse(); // so soon that limen hands out the same token again
  assert.equal(again.refresh, first.refresh);
  assert.match(again.key, /^[\w-]{32}$/); // a late double of that request brings the same one

  await pass(1860);
  assert.equal((await limen.fetch(ME)).status, 200);
  assert.notEqual(store.state.session.refresh, again.refresh);
  assert.notEqual(store.state.session.key, again.key);
});

for (const kind of ["dark", "mute"]) {
  test(`nothing is forgotten while the network is ${kind}, and one key is used`, async (t) => {
    const { limen, store } = await signedIn(t);
    await pass(1860);
    await weather(kind);
    t.after(() => weather("calm"));
    await assert.rejects(limen.fetch(ME), { name: "LimenError", code: "unreachable", status: 0 });
    const { key, refresh } = store.state.session;
    assert.match(key, /^[\w-]{32}$/);
    await assert.rejects(another(t, store).fetch(ME), { code: "unreachable" });
    assert.deepEqual([store.state.session.key, store.state.session.refresh], [key, refresh]);
    assert.equal(limen.signedIn, true);

    await weather("calm");
    assert.equal((await limen.fetch(ME)).status, 200);
    assert.notEqual(store.state.session.refresh, refresh);
  });
}

test("ahead of its end a token serves while limen is away", async (t) => {
  const { limen } = await signedIn(t);
  await pass(1770);
  await weather("dark");
  t.after(() => weather("calm"));
  assert.equal((await limen.fetch(ME)).status, 200);
});

test("a clock that is wrong, or is set, does no harm", async (t) => {
  t.after(() => (moved = 0));
  for (const wrong of [-400 * 86400, 400 * 86400]) {
    moved = wrong;
    const { limen } = await signedIn(t);
    for (const change of [-86400, 86400, 3 * 86400, -3 * 86400]) {
      moved += change;
      assert.equal((await limen.fetch(ME)).status, 200);
      await pass(1860);
      assert.equal((await limen.fetch(ME)).status, 200);
    }
  }
});

test("a session that was ended elsewhere signs every tab out, and that is announced", async (t) => {
  const { limen, store } = await signedIn(t);
  const tab = another(t, store);
  const changes = [];
  tab.onchange = ({ signedIn }) => changes.push(signedIn);
  await tab.ready;
  const body = JSON.stringify({ refresh_token: store.state.session.refresh });
  const headers = { "Content-Type": "application/json" };
  await fetch(`${url}/api/v1/auth/logout`, { method: "POST", headers, body });

  assert.equal((await limen.fetch(ME)).status, 401);
  assert.equal(store.text, null);
  await until(() => changes.length === 2);
  assert.deepEqual(changes, [true, false]);
  assert.equal((await tab.fetch(ME)).status, 401);
});

test("signing out is at once, and is made good when limen could not be told", async (t) => {
  const { limen, store } = await signedIn(t);
  const token = await limen.token();
  await weather("dark");
  t.after(() => weather("calm"));
  await assert.rejects(limen.signOut(), { code: "unreachable" });
  assert.equal(limen.signedIn, false);
  assert.equal(await limen.token(), null);

  await weather("calm");
  await another(t, store).ready;
  await until(() => store.text === null);
  const headers = { Authorization: `Bearer ${token}` };
  assert.equal((await fetch(ME, { headers })).status, 401);
});

for (const [status, seconds] of [[503, 30], [429, 2]]) {
  test(`a sign-out that limen puts off with ${status} is made good later`, async (t) => {
    const { limen, store } = await signedIn(t);
    const token = await limen.token();
    await refusals(status, seconds);
    t.after(() => weather("calm"));
    pauses = [];
    await assert.rejects(limen.signOut(), { name: "LimenError", status, retryAfter: seconds });
    assert.equal(store.state.leaving.length, 1);
    assert.deepEqual(pauses, []); // such a wait is the application's

    await weather("calm");
    await another(t, store).ready;
    await until(() => store.text === null);
    const headers = { Authorization: `Bearer ${token}` };
    assert.equal((await fetch(ME, { headers })).status, 401);
  });
}

for (const [said, paused] of [
  [3, [3000, 3000, 3000]],
  [-3, [1000, 2000, 4000]],
  [0.001, [1000, 2000, 4000]],
]) {
  test(`limen is asked four times, and "Retry-After: ${said}" spaces that out`, async (t) => {
    const { limen } = await signedIn(t);
    await pass(1860);
    await refusals(503, said);
    t.after(() => weather("calm"));
    for (const asking of [() => limen.token(), () => limen.signOut()]) {
      pauses = [];
      await assert.rejects(asking(), { status: 503 });
      assert.deepEqual(pauses, paused);
    }
  });
}

test("a sign-in that took long has started its session, and not ended it", async (t) => {
  const { store, email } = await signedIn(t);
  const tab = sleepy(t, store);
  await tab.signIn(email, PASSWORD);
  await until(() => store.state.leaving.length === 0);
  assert.equal((await tab.fetch(ME)).status, 200);
});

for (const change of ["signIn", "signOut"]) {
  test(`what others did while a tab slept in ${change} stands`, async (t) => {
    const { limen, store, email } = await signedIn(t);
    const tab = sleepy(t, store, () => limen.signIn(email, PASSWORD));
    await tab[change](email, PASSWORD);
    await until(() => store.state.leaving.length === 0);
    assert.equal((await limen.fetch(ME)).status, 200);
    assert.equal((await tab.fetch(ME)).status, 200);
  });
}

test("a store may make its change again, of what came of it", async (t) => {
  const { store, email } = await signedIn(t);
  const view = store.view();
  const twice = { update: (change) => view.update((text) => change(change(text))) };
  const tab = another(t, { view: () => twice });
  await tab.signIn(email, PASSWORD);
  await until(() => store.state.leaving.length === 0);
  assert.equal((await tab.fetch(ME)).status, 200);
  await pass(1860);
  assert.equal((await tab.fetch(ME)).status, 200);
});

test("a renewal that is announced to nobody has happened all the same", async (t) => {
  const { limen, store } = await signedIn(t);
  await pass(1860);
  const renewed = limen.token();
  limen.close();
  assert.equal(await renewed, store.state.session.access);

  await pass(1860);
  const [view, { refresh }] = [store.view(), store.state.session];
  const update = async (change) => {
    if (store.state.session.refresh !== refresh) throw new Error("the disk is full");
    await view.update(change);
  };
  const token = await another(t, { view: () => ({ update }) }).token();
  assert.equal(token, store.state.session.access);
  assert.notEqual(store.state.session.refresh, refresh);
});

test("an answer is waited for half a minute, and no longer", async (t) => {
  const { timeout } = AbortSignal;
  const waited = [];
  t.mock.method(AbortSignal, "timeout", (milliseconds) => {
    waited.push(milliseconds);
    return timeout.call(AbortSignal, milliseconds);
  });
  for (const long of [Infinity, 3_600_000, 30_000, 29_000]) await signedIn(t, { timeout: long });
  assert.deepEqual(waited, [30_000, 30_000, 30_000, 29_000]);
});

test("a refused sign-in says why, and no more", async (t) => {
  const { limen, email } = await signedIn(t);
  const error = await limen.signIn(email, "not the password").catch((error) => error);

  assert.ok(error instanceof LimenError);
  assert.deepEqual([error.status, error.code], [401, "invalid_credentials"]);
  assert.doesNotMatch(inspect(error, { showHidden: true, depth: 9 }), /not the password|@example/);
  assert.doesNotMatch(inspect(limen, { showHidden: true, depth: 9 }), /eyJ/);
  assert.equal(limen.signedIn, true);
});

for (const locks of [new Locks(), undefined]) {
  test(`four tabs in a storm stay signed in, ${locks ? "with" : "without"} locks`, async (t) => {
    Object.defineProperty(globalThis, "navigator", { value: { locks }, configurable: true });
    const { store } = await signedIn(t);
    const views = Array.from({ length: TABS }, () => new Sleeper(store.view()));
    const tabs = views.map((storage) => new Limen({ url, storage, timeout: 1000 }));
    t.after(() => tabs.forEach((tab) => tab.close()));
    t.after(() => weather("calm"));
    await weather("storm");
    const met = {};
    const me = async (tab) => {
      const said = await tab.fetch(ME).then(({ status }) => status, ({ code }) => code);
      met[said] = (met[said] ?? 0) + 1;
    };
    for (let round = 0; round < ROUNDS; round++) {
      await pass(1860);
      const sleeper = round % TABS;
      views[sleeper].sleepAt([1, 2, 2.5, 3, 3.5][round % 5]);
      const slept = me(tabs[sleeper]);
      await Promise.all(tabs.filter((_, tab) => tab !== sleeper && !locks).map(me));
      await pass(1860); // the sleeper has read a token that is used by now, and wakes with it
      await Promise.all(tabs.filter((_, tab) => tab !== sleeper && !locks).map(me));
      views[sleeper].wake();
      await slept;
      await Promise.all(tabs.map(me));
    }
    await weather("calm");
    for (const tab of tabs) assert.equal((await tab.fetch(ME)).status, 200);
    assert.equal(met[401], undefined);
    console.log(`figures: ${TABS} tabs, ${ROUNDS} rounds, ${locks ? "" : "no "}locks, ${JSON.stringify(met)}`);
  });
}
