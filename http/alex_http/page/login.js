// Logging in: the server asks for a token, and the browser keeps it in a cookie that no script can read.

import { byId, write } from "./dom.js";

const LOGGED_IN = "alex-logged-in";

/** Owns the dialog and the button that logs out. */
export class Login {
  #dialog = byId("login", HTMLDialogElement);
  #form = byId("login-form", HTMLFormElement);
  #fault = byId("login-fault", HTMLElement);
  #logout = byId("logout", HTMLButtonElement);

  /**
   * @param {{api: import("./api.js").Api, store: Storage | null, onLogin: () => void, onLogout: () => void}} parts
   */
  constructor({ api, store, onLogin, onLogout }) {
    // The cookie itself cannot be seen.
    this.#logout.hidden = !store?.getItem(LOGGED_IN);
    api.addEventListener("locked", (event) => this.#ask(/** @type {CustomEvent<string>} */ (event).detail));
    // Without a token there is nothing behind the dialog to go back to.
    this.#dialog.addEventListener("cancel", (event) => event.preventDefault());
    this.#form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const field = /** @type {HTMLInputElement} */ (this.#form.elements.namedItem("token"));
      try {
        await api.login(field.value.trim());
      } catch (error) {
        return write(this.#fault, error instanceof Error ? error.message : String(error));
      }
      field.value = "";
      this.#dialog.close();
      this.#logout.hidden = false;
      store?.setItem(LOGGED_IN, "yes");
      onLogin();
    });
    this.#logout.addEventListener("click", async () => {
      await api.logout();
      store?.removeItem(LOGGED_IN);
      onLogout();
    });
  }

  /** Whether the page waits for a token. */
  get isOpen() {
    return this.#dialog.open;
  }

  /** @param {string} why */
  #ask(why) {
    if (this.#dialog.open) return;
    write(byId("login-why", HTMLElement), why);
    write(this.#fault, "");
    this.#dialog.showModal();
  }
}
