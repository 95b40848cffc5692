// Draws what Python says (`view`) with native form elements and sends back what was done.
// Strings named *_html were rendered by Python from Markdown with raw HTML switched off; all other
// text goes in as text.

let groups = 0;

function option(type, name, value, content) {
  const input = h("input", { type, name, value });
  return h("label", { class: "mer-option" }, input, content);
}

function choices(question, name) {
  const type = question.kind === "choice" ? "radio" : "checkbox";
  return question.options_html.map((html, i) => option(type, name, i, h("span", { html })));
}

function text(question, name) {
  if (question.kind === "short") {
    return h("input", {
      type: "text", name, "aria-label": "Your answer", autocomplete: "off", spellcheck: "false",
    });
  }
  const css = question.kind === "code" ? "mer-code" : undefined;
  return h("textarea", { name, rows: 4, class: css, "aria-label": "Your answer", spellcheck: "false" });
}

function program(source) {
  const lines = source.map((line) => h("span", {}, line || " "));
  return h("pre", { class: "mer-program", "aria-label": "Program" }, ...lines);
}

function tracing(question, name) {
  const printed = h("textarea", { name: `${name}-stdout`, rows: 3, class: "mer-code", spellcheck: "false" });
  const line = h("input", {
    type: "number", name: `${name}-line`, min: 1, max: question.program.length, step: 1,
  });
  const runs = h("div", { hidden: true }, h("label", {}, "What does it print?", printed));
  const fails = h("div", { hidden: true }, h("label", {}, "Which of its lines raises it? ", line));
  const ends = option("radio", name, "runs", "It ends normally.");
  const raises = option("radio", name, "fails", "It ends with an uncaught exception.");
  const show = () => {
    runs.hidden = !ends.querySelector("input").checked;
    fails.hidden = !raises.querySelector("input").checked;
  };
  ends.addEventListener("change", show);
  raises.addEventListener("change", show);
  return [program(question.program), ends, runs, raises, fails];
}

// What the learner entered, or null while there is no answer.
function answer(question, form, name) {
  const checked = [...form.querySelectorAll(`input[name="${name}"]:checked`)].map((i) => i.value);
  const value = (suffix = "") => form.querySelector(`[name="${name}${suffix}"]`).value;
  switch (question.kind) {
    case "choice":
    case "choices":
      return checked.length ? { picked: checked.map(Number) } : null;
    case "tracing":
      if (!checked.length) return null;
      if (checked[0] === "runs") return { runs: true, stdout: value("-stdout") };
      return value("-line") === "" ? null : { runs: false, line: Number(value("-line")) };
    default:
      return value().trim() === "" ? null : { text: value() };
  }
}

const MISSING = {
  choice: "Choose one option.",
  choices: "Choose every option that is right.",
  tracing: "Say how the program ends, and on which line if it raises.",
};

function header(view) {
  return h("div", {},
    h("div", { class: "mer-row mer-spread" },
      h("h3", { tabindex: -1 }, `Quiz: ${view.title}`),
      h("span", { class: "mer-muted" }, view.pass_mark)),
    view.passed_before ? h("p", { class: "mer-good" }, view.passed_before) : null,
    view.total ? h("div", {},
      h("p", { class: "mer-muted" }, view.position),
      h("progress", { max: view.total, value: view.done, "aria-label": view.position })) : null);
}

function asking(view, send) {
  const { question } = view;
  const name = `mer-quiz-${++groups}`;
  const complaint = h("p", { role: "alert", class: "mer-warn" });
  const body = question.kind === "choice" || question.kind === "choices" ? choices(question, name)
    : question.kind === "tracing" ? tracing(question, name) : [text(question, name)];
  const why = question.asks_why
    ? h("label", {}, "In a sentence: why?", h("textarea", { name: `${name}-why`, rows: 2 })) : null;
  const hint = question.kind === "choices"
    ? h("p", { class: "mer-muted" }, "More than one may be right.") : null;
  const form = h("form", {
    // Enter in a field answers. Browsers do this by themselves, but not for text in JupyterLab.
    onkeydown: (event) => {
      if (event.key === "Enter" && event.target.matches("input")) {
        event.preventDefault();
        form.requestSubmit();
      }
    },
    onsubmit: (event) => {
      event.preventDefault();
      const given = answer(question, form, name);
      if (given === null) {
        complaint.textContent = MISSING[question.kind] ?? "Write an answer.";
        return;
      }
      const reason = why ? form.querySelector(`[name="${name}-why"]`).value : null;
      send({ type: "submit", answer: given, why: reason });
    },
  },
  question.preamble_html ? h("div", { html: question.preamble_html }) : null,
  h("fieldset", {}, h("legend", { html: question.text_html }), hint, ...body), why, complaint,
  h("button", { type: "submit", class: "mer-primary" }, "Answer"));
  return form;
}

function outcome(view, send) {
  const { outcome } = view;
  const good = outcome.correct;
  return h("div", {},
    h("div", { class: `mer-note ${good ? "mer-is-good" : "mer-is-bad"}`, role: "status" },
      h("p", {}, h("b", { class: good ? "mer-good" : "mer-bad" }, good ? "✓ Right." : "✗ Not right."),
        good ? "" : " It comes back if you retry."),
      outcome.context_html ? h("div", { html: outcome.context_html }) : null),
    h("button", { type: "button", class: "mer-primary", onclick: () => send({ type: "next" }) },
      view.last ? "See the result" : "Next question"));
}

function mark(row) {
  const good = row.correct;
  return h("li", {},
    h("div", { class: "mer-row" },
      h("b", { class: good ? "mer-good" : "mer-bad" }, good ? "✓ right" : "✗ not right"),
      h("div", { html: row.text_html })),
    row.program ? program(row.program) : null,
    row.given_html ? h("div", { class: "mer-muted" }, "You said: ", h("span", { html: row.given_html })) : null,
    row.right_html ? h("div", {}, "The answer: ", h("span", { html: row.right_html })) : null,
    row.context_html ? h("div", { class: "mer-note", html: row.context_html }) : null);
}

function result(view, send) {
  const { result } = view;
  const go = (type, label, primary) =>
    h("button", { type: "button", class: primary ? "mer-primary" : undefined, onclick: () => send({ type }) }, label);
  return h("div", {},
    h("div", { class: `mer-note ${result.passed ? "mer-is-good" : "mer-is-warn"}`, role: "status" },
      h("p", {}, h("b", {}, result.headline)),
      result.next ? h("p", {}, result.next) : null),
    h("ol", { class: "mer-marks" }, ...result.rows.map(mark)),
    h("div", { class: "mer-row" },
      result.can_retry ? go("retry", "Retry the wrong ones", true) : null,
      result.can_reveal ? go("reveal", "Show the answers", false) : null,
      result.can_restart ? go("restart", "Take it again", false) : null,
      result.open ? h("button", {
        type: "button", class: result.can_retry ? undefined : "mer-primary",
        "data-commandlinker-command": "docmanager:open",
        "data-commandlinker-args": JSON.stringify({ path: result.open.path }),
      }, result.open.label) : null));
}

const BODIES = { question: asking, outcome, result };

export default {
  render({ model, el }) {
    const root = h("div", { class: "mer-panel" });
    el.append(root);
    const send = (message) => model.send(message);
    const draw = () => {
      const view = model.get("view");
      const focused = root.contains(document.activeElement);
      root.replaceChildren(
        header(view),
        BODIES[view.phase](view, send),
        view.problem ? h("p", { class: "mer-bad", role: "alert" }, view.problem) : "",
      );
      if (!focused) return;
      // The keyboard goes on where it was: in the first control of what is new, or at its top.
      const control = view.phase === "result" ? null : root.querySelector("form input, form textarea, button");
      (control ?? root.querySelector("h3")).focus({ preventScroll: true });
      if (root.getBoundingClientRect().top < 0) root.scrollIntoView({ block: "start" });
    };
    model.on("change:view", draw);
    draw();
    return () => model.off("change:view", draw);
  },
};
