/**
 * The page that the links in mails open, and where their six digits can be typed.
 *
 *     /account#verify=TOKEN          confirm an address       #verify          with six digits
 *     /account#reset=TOKEN           choose a new password    #reset           with six digits
 *     /account#email_change=TOKEN    confirm a new address    #email_change    with six digits
 *     /account#invite=TOKEN          open an account          #invite          with six digits
 *     /account#forgot, #again        ask for a mail
 *
 * The token stands in the fragment, which goes to no server and into no Referer, and is taken out
 * of the address bar at once. Opening a link uses nothing up: programs that open the links of every
 * mail do no harm. A code is used when somebody presses the button.
 */

const TOKEN = /^[\w-]{16,64}$/;

// Each form: its words, the fields it has beside the code, and where they go.
const FORMS = {
  verify: {
    title: "Confirm your e-mail address",
    lead: "Type the password that you have chosen, and the address is yours.",
    button: "Confirm the address",
    done: "Your e-mail address is confirmed. You can close this page and sign in.",
    path: "email/verify/confirm",
    password: "current-password",
  },
  reset: {
    title: "Choose a new password",
    lead: "Whoever is signed in with the old one is signed out.",
    button: "Set the new password",
    done: "You have a new password. You can close this page and sign in with it.",
    path: "password/reset",
    password: "new-password",
  },
  email_change: {
    title: "Confirm your new e-mail address",
    lead: "Type your password, and sign in with the new address from then on.",
    button: "Confirm the address",
    done: "Your account has the new address. You can close this page.",
    path: "email/change/confirm",
    password: "current-password",
  },
  invite: {
    title: "Open your account",
    lead: "Type the address that was invited, and choose a password.",
    button: "Open the account",
    done: "Your account is open. You can close this page and sign in.",
    path: "register",
    code: "invitation",
    email: true,
    password: "new-password",
  },
  forgot: {
    title: "Ask for a new password",
    lead: "If there is an account with this address, you get a mail.",
    button: "Send me a mail",
    path: "password/forgot",
    email: true,
    next: "#reset",
  },
  again: {
    title: "Ask for the mail once more",
    lead: "If there is an account with this address to be confirmed, you get a mail.",
    button: "Send me a mail",
    path: "email/verify",
    email: true,
    next: "#verify",
  },
};

const at = (id) => document.getElementById(id);
let form;
let token;

function arrive() {
  const [purpose, carried] = location.hash.slice(1).split("=", 2);
  if (carried !== undefined) {
    history.replaceState(null, "", location.pathname + location.search);
  }
  form = Object.hasOwn(FORMS, purpose) ? FORMS[purpose] : undefined;
  token = carried;
  say("problem", "");
  say("done", "");
  if (carried !== undefined && !TOKEN.test(carried)) {
    choose("This link is not whole. Copy all of it from the mail, or type the six digits.");
  } else if (form === undefined) {
    choose("Open the link in the mail that you were sent, or:");
  } else {
    show();
  }
}

function choose(lead) {
  form = undefined;
  put("Your account", lead);
  at("form").hidden = true;
  at("choices").hidden = false;
}

function show() {
  put(form.title, form.lead);
  const needsDigits = token === undefined && !form.next;
  toggle("email", form.email || needsDigits);
  toggle("code", needsDigits);
  toggle("password", form.password !== undefined);
  const isNew = form.password === "new-password";
  at("password").autocomplete = form.password ?? "current-password";
  say("asks-password", isNew ? "New password" : "Password");
  say("hint", isNew ? "Long is good: a few words that belong to nobody else." : "");
  at("send").textContent = form.button;
  at("form").hidden = false;
  at("choices").hidden = true;
  (at("form").querySelector("input:enabled:not([type=checkbox])") ?? at("send")).focus();
}

function put(title, lead) {
  at("title").textContent = document.title = title;
  at("lead").textContent = lead;
}

/** Show a field, or keep it out of the way of people, validation and password managers. */
function toggle(name, isShown) {
  for (const field of document.querySelectorAll(`[data-field=${name}]`)) {
    field.hidden = !isShown;
    for (const input of field.querySelectorAll("input")) {
      input.disabled = !isShown;
      input.removeAttribute("aria-invalid");
    }
  }
}

function body() {
  const sent = {};
  for (const name of ["email", "password"]) {
    if (!at(name).disabled) sent[name] = at(name).value;
  }
  if (!form.next) {
    sent[form.code ?? "code"] = token ?? at("code").value.replace(/\D/g, "");
  }
  return sent;
}

async function send(event) {
  event.preventDefault();
  const sending = form;
  at("send").disabled = true;
  say("problem", "");
  try {
    const answer = await fetch(new URL(`api/v1/auth/${form.path}`, document.baseURI), {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body()),
      cache: "no-store",
    });
    if (sending !== form) return; // another link was opened meanwhile
    if (answer.ok) finish();
    else refuse(await answer.json().catch(() => ({})));
  } catch {
    say("problem", "The server cannot be reached just now. Nothing has changed: try again.");
  } finally {
    at("send").disabled = false;
  }
}

function finish() {
  at("password").value = at("code").value = "";
  if (form.next) {
    history.pushState(null, "", form.next);
    arrive();
    say("lead", "If so, a mail is on its way. Open its link, or type its six digits here.");
    at("code").focus();
    return;
  }
  at("form").reset();
  at("form").hidden = true;
  say("lead", "");
  say("done", form.done);
  at("done").focus();
}

function refuse(problem) {
  say("problem", problem.detail ?? "That did not work. Try again in a while.");
  at("choices").hidden = problem.code !== "invalid_code"; // there is another one to be had
  for (const name of ["email", "code", "password"]) at(name).removeAttribute("aria-invalid");
  const field = ["email", "code", "password"].find((name) => name === problem.field);
  if (field === undefined || at(field).disabled) return;
  at(field).setAttribute("aria-invalid", "true");
  at(field).focus();
}

function say(id, text) {
  at(id).textContent = text;
}

at("form").addEventListener("submit", send);
at("shown").addEventListener("change", () => {
  at("password").type = at("shown").checked ? "text" : "password";
});
addEventListener("hashchange", arrive);
arrive();
