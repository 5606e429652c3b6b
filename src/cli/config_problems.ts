/** Everything that is wrong with the settings, one line each; no line holds a secret. */
export class ConfigProblems extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join("\n"));
    this.name = "ConfigProblems";
    this.problems = problems;
  }
}
