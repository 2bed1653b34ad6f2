// What the service says to the page in its <meta> elements.

const meta = (name) => document.querySelector(`meta[name="claimrush-${name}"]`)?.content ?? "";

export const settings = {
  /** Where the API is; empty for here. */
  api: meta("api"),
  /** Whether anybody may be anybody. */
  demo: meta("demo") === "1",
  /** Where the sponsor signs people in, with {drop} in it; empty if nobody said. */
  login: meta("login"),
  /** The languages: word, name and file. */
  languages: meta("languages").split(";").map((one) => one.split("=")).map(([word, name, file]) => ({ word, name, file })),
  /** The worker that solves challenges. */
  work: meta("work"),
};
