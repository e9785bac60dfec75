// Before the first paint: the theme this person chose on this machine.
(function () {
  "use strict";
  const chosen = localStorage.getItem("heliograph.theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
