// How a figure is written in the browser: the same rules as dashboards/formats.py, tested against the
// same table of cases. Rounding is half away from zero on the shortest decimal form of the value.
(function () {
  "use strict";
  const UNKNOWN = "\u2014";
  const MINUS = "\u2212";
  // [power, suffix, from]: a size is reached where three digits round up to it, so 999,500 is 1.00M
  const SUFFIXES = [[12, "T", 9995n], [9, "B", 9995n], [6, "M", 9995n], [3, "K", 10000n]];

  // {negative, digits (BigInt), scale}: digits / 10^scale; null where there is no such number.
  function decimal(value) {
    if (value === null || value === undefined || typeof value === "boolean") return null;
    const text = String(value).trim().replace(MINUS, "-");
    const match = /^([+-]?)(\d*)(?:\.(\d*))?(?:e([+-]?\d+))?$/i.exec(text);
    if (!match || (!match[2] && !match[3])) return null;
    const fraction = match[3] || "";
    let digits = BigInt((match[2] || "") + fraction);
    let scale = fraction.length - Number(match[4] || 0);
    if (scale < 0) {
      digits *= 10n ** BigInt(-scale);
      scale = 0;
    }
    return { negative: match[1] === "-", digits, scale };
  }

  // The absolute value in units of 10^-decimals, rounded half away from zero.
  function rounded(exact, decimals) {
    const shift = exact.scale - decimals;
    if (shift <= 0) return exact.digits * 10n ** BigInt(-shift);
    const unit = 10n ** BigInt(shift);
    return (exact.digits + unit / 2n) / unit;
  }

  function grouped(units, decimals) {
    const text = units.toString().padStart(decimals + 1, "0");
    const whole = text.slice(0, text.length - decimals).replace(/\B(?=(\d{3})+$)/g, ",");
    return decimals ? whole + "." + text.slice(-decimals) : whole;
  }

  function fixed(exact, decimals, sign) {
    if (!exact) return UNKNOWN;
    if (exact.digits === 0n) return "0";
    const units = rounded(exact, decimals);
    const mark = units === 0n ? "" : exact.negative ? MINUS : sign ? "+" : "";
    return mark + grouped(units, decimals);
  }

  function scaled(value, power) {
    const exact = decimal(value);
    return exact && { ...exact, digits: exact.digits * 10n ** BigInt(power) };
  }

  const number = (value, decimals = 2, sign = false) => fixed(decimal(value), decimals, sign);

  // [units, decimals] with three digits standing
  function threeDigits(exact, power) {
    const small = { ...exact, scale: exact.scale + power };
    for (const decimals of [2, 1]) {
      const units = rounded(small, decimals);
      if (units < 1000n) return [units, decimals];
    }
    return [rounded(small, 0), 0];
  }

  function compact(value, sign = false) {
    const exact = decimal(value);
    if (!exact) return UNKNOWN;
    for (const [power, suffix, from] of SUFFIXES) {
      if (exact.digits * 10000n < from * 10n ** BigInt(power + exact.scale)) continue;
      const [units, decimals] = threeDigits(exact, power);
      const mark = exact.negative ? MINUS : sign ? "+" : "";
      return mark + grouped(units, decimals) + suffix;
    }
    return fixed(exact, 2, sign);
  }

  function price(value, decimals = null) {
    const exact = decimal(value);
    if (!exact) return UNKNOWN;
    const small = exact.digits < 10n ** BigInt(exact.scale);
    return fixed(exact, decimals === null ? (small ? 4 : 2) : decimals, false);
  }

  function percent(fraction, sign = false) {
    const text = fixed(scaled(fraction, 2), 2, sign);
    return text === UNKNOWN ? text : text + "%";
  }

  // An ISO text in UTC keeps its microseconds; a number is ms since 1970.
  function iso(value) {
    if (typeof value === "number" && Number.isFinite(value)) return new Date(value).toISOString();
    return typeof value === "string" && value.length > 18 ? value : null;
  }

  function time(value) {
    const text = iso(value);
    return text ? text.slice(11, 19) + "." + fractionOf(text).slice(0, 3) : UNKNOWN;
  }

  function timeMicros(value) {
    const text = iso(value);
    return text ? text.slice(11, 19) + "." + fractionOf(text) : UNKNOWN;
  }

  function fractionOf(text) {
    const match = /^\.(\d+)/.exec(text.slice(19));
    return (match ? match[1] : "").padEnd(6, "0").slice(0, 6);
  }

  function day(value) {
    if (typeof value === "number") {
      const text = String(value).padStart(8, "0");
      return value > 0 ? text.slice(0, 4) + "-" + text.slice(4, 6) + "-" + text.slice(6) : UNKNOWN;
    }
    return typeof value === "string" && value.length >= 10 ? value.slice(0, 10) : UNKNOWN;
  }

  function moment(value) {
    const text = iso(value);
    return text ? text.slice(0, 10) + " " + text.slice(11, 19) : UNKNOWN;
  }

  function duration(seconds) {
    const exact = decimal(seconds);
    if (!exact || (exact.negative && exact.digits)) return UNKNOWN;
    if (exact.digits === 0n) return "0 s";
    const span = Number(seconds);
    if (span < 1) return Math.floor(Math.round(span * 1e6) / 1e3) + " ms";
    const whole = Math.floor(span);
    const parts = [
      [Math.floor(whole / 86400), "d"],
      [Math.floor(whole / 3600) % 24, "h"],
      [Math.floor(whole / 60) % 60, "m"],
      [whole % 60, "s"],
    ];
    const first = parts.findIndex(([count]) => count);
    const kept = parts.slice(first, first + 2).filter(([count]) => count);
    return kept.map(([count, unit]) => count + " " + unit).join(" ");
  }

  function age(seconds) {
    const text = duration(seconds);
    return text === UNKNOWN ? text : text + " old";
  }

  window.heliographFormats = {
    UNKNOWN,
    number,
    money: (value) => number(value, 2),
    money_signed: (value) => number(value, 2, true),
    compact: (value) => compact(value),
    compact_signed: (value) => compact(value, true),
    price,
    quantity: (value) => number(value, 0),
    quantity_signed: (value) => number(value, 0, true),
    percent: (value) => percent(value),
    percent_signed: (value) => percent(value, true),
    bps: (value) => fixed(scaled(value, 4), 1, false),
    time,
    time_micros: timeMicros,
    day,
    moment,
    duration,
    age,
  };
})();
