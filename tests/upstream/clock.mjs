// The authority under test has a clock of its own that stands still: this process's clock begins at the same time.
const [, , now] = process.argv;
const real = Date;
const offset = Number(now) * 1000 - real.now();
globalThis.Date = class extends real {
  constructor(...parts) {
    if (parts.length) super(...parts);
    else super(real.now() + offset);
  }
  static now() {
    return real.now() + offset;
  }
};
