// Draws what Python says (`view`) and reports which button was pressed. `card_html` is escaped by
// Python; the feedback page is shown in a frame that can neither run scripts nor see this page.

// What is on the screen is to be judged, not what was saved some time ago. JupyterLab marks the
// tab of every document with unsaved changes; this notebook is saved by its own toolbar button.
const SAVE_MS = 3000;

function unsavedFiles() {
  const tabs = document.querySelectorAll(".lm-TabBar-tab.jp-mod-dirty .lm-TabBar-tabLabel");
  return [...tabs].map((tab) => tab.textContent).filter((name) => !name.endsWith(".ipynb"));
}

function saveNotebook(root) {
  const panel = root.closest(".jp-NotebookPanel");
  panel?.querySelector('[data-jp-item-name="save"] :is(button, jp-button)')?.click();
  return () => !document.querySelector(`.lm-TabBar-tab.jp-mod-dirty[data-id="${panel?.id}"]`);
}

function when(ready, then, deadline = Infinity) {
  if (ready() || Date.now() > deadline) then();
  else setTimeout(() => when(ready, then, deadline), 50);
}

const ACTIONS = [
  { action: "check", label: "Check", title: "Every criterion but speed, as often as you like" },
  { action: "bench", label: "Bench", title: "Race against the reference and its peer" },
  { action: "submit", label: "Submit", title: "Everything, recorded; the best result counts" },
];

function header(view) {
  return h("div", { class: "mer-row mer-spread" },
    h("h3", { tabindex: -1 }, view.title), h("span", { class: "mer-muted" }, view.about));
}

function advice(view, send) {
  return h("div", { class: "mer-note mer-is-warn" },
    h("p", {}, h("b", {}, "Locked for now. "),
      `This capstone builds on lessons whose quiz is not passed yet: ${view.locked.join("; ")}.`),
    h("button", { type: "button", onclick: () => send({ type: "anyway" }) }, "Open it anyway"));
}

function buttons(view, start, confirmReset) {
  const busy = Boolean(view.running);
  const off = busy || view.locked.length > 0;
  const main = ACTIONS.map(({ action, label, title }) => h("button", {
    type: "button", title, disabled: off,
    class: action === "check" ? "mer-primary" : undefined,
    onclick: () => start(action),
  }, label));
  const reset = h("button", {
    type: "button", disabled: busy, title: "Start again; your version is kept",
    onclick: confirmReset,
  }, "Reset");
  return h("div", { class: "mer-row", style: "margin:12px 0" }, ...main, reset,
    h("span", { class: "mer-muted" }, "Your files: ", h("code", {}, view.files)));
}

// JupyterLab may ask before it saves, so the job waits for the marks to go, or for another choice.
function unsaved(names, go, close) {
  let open = true;
  const choose = (then) => () => { if (open) { open = false; then(); } };
  const save = h("button", {
    type: "button", class: "mer-primary",
    "data-commandlinker-command": "docmanager:save-all", "data-commandlinker-args": "{}",
    onclick: () => when(() => !open || unsavedFiles().length === 0, choose(go)),
  }, "Save all and go on");
  return h("div", { class: "mer-note mer-is-warn", role: "alertdialog", "aria-label": "Unsaved" },
    h("p", {}, `Unsaved changes in ${names.join(", ")}: what is judged is what is saved.`),
    h("div", { class: "mer-row" }, save,
      h("button", { type: "button", onclick: choose(go) }, "Go on with what is saved"),
      h("button", { type: "button", onclick: choose(close) }, "Cancel")));
}

function question(send, close) {
  const yes = h("button", {
    type: "button", onclick: () => { close(); send({ type: "run", action: "reset" }); },
  }, "Reset the exercise");
  const no = h("button", { type: "button", class: "mer-primary", onclick: close }, "Keep working");
  return h("div", { class: "mer-note mer-is-warn", role: "alertdialog", "aria-label": "Reset" },
    h("p", {}, "Put every file of the exercise back to its start? Your version is kept in .meridian/attic."),
    h("div", { class: "mer-row" }, yes, no));
}

function progress(view, send) {
  return h("div", { style: "margin:12px 0" },
    h("div", { class: "mer-row mer-spread" },
      h("span", {}, `${view.running}. ${view.stage}`),
      h("button", { type: "button", onclick: () => send({ type: "cancel" }) }, "Cancel")),
    h("progress", { max: 1, value: view.done, "aria-label": view.running }));
}

function feedback(view, open, onopen) {
  const box = h("details", { open }, h("summary", {}, "The feedback page"));
  const fill = () => {
    if (box.open && !box.querySelector("iframe")) {
      box.append(h("iframe", { class: "mer-page", sandbox: "", srcdoc: view.feedback_html, title: "Feedback" }));
    }
    onopen(box.open);
  };
  box.addEventListener("toggle", fill);
  fill();
  return box;
}

export default {
  render({ model, el }) {
    const root = h("div", { class: "mer-panel" });
    const top = h("div");
    const card = h("div");
    const live = h("p", { class: "mer-muted", role: "status" });
    root.append(top, live, card);
    el.append(root);
    let dialog = null;
    let opened = false;
    let shown = null;
    const send = (message) => model.send(message);

    const show = (box) => { dialog = box; draw(); box?.querySelector("button")?.focus(); };
    const run = (action) => {
      show(null);
      when(saveNotebook(root), () => send({ type: "run", action }), Date.now() + SAVE_MS);
    };
    const start = (action) => {
      const names = unsavedFiles();
      if (names.length) show(unsaved(names, () => run(action), () => show(null)));
      else run(action);
    };

    const draw = () => {
      const view = model.get("view");
      const active = top.contains(document.activeElement) ? document.activeElement.textContent : null;
      top.replaceChildren(...[
        header(view),
        view.locked.length ? advice(view, send) : null,
        buttons(view, start, () => show(question(send, () => show(null)))),
        view.running ? null : dialog,
        view.running ? progress(view, send) : null,
        view.problem ? h("div", { class: "mer-note mer-is-bad", role: "alert" }, h("pre", {}, view.problem)) : null,
        view.note ? h("div", { class: "mer-note" }, h("pre", {}, view.note)) : null,
      ].filter(Boolean));
      const said = view.running ? "" : view.card_html ? "Latest verdict" : "Not checked yet.";
      if (live.textContent !== said) live.textContent = said;
      if (shown !== view.card_html) {
        shown = view.card_html;
        card.replaceChildren(
          h("div", { html: shown ?? "" }),
          ...(view.feedback_html ? [feedback(view, opened, (now) => { opened = now; })] : []),
        );
      }
      card.style.opacity = view.running ? 0.5 : 1;
      if (active !== null) {
        const again = [...top.querySelectorAll("button")].find((b) => b.textContent === active && !b.disabled);
        (again ?? top.querySelector("button:not(:disabled)") ?? top.querySelector("h3")).focus({ preventScroll: true });
      }
    };
    model.on("change:view", draw);
    draw();
    return () => model.off("change:view", draw);
  },
};
