/** Everything that is wrong with the settings, one line each; no line holds a secret. */
export class ConfigProblems extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join("\n"));
    this.name = "ConfigProblems";
    this.problems = problems;
  }
}

/** The program was told to work where it cannot; starting it again changes nothing. Its exit code is 2. */
export class SettingsRefused extends Error {
  override readonly name = "SettingsRefused";
}
