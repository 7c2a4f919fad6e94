if (!location.pathname.endsWith("/")) {
  const base = document.createElement("base");
  base.href = location.origin + location.pathname + "/";
  document.head.append(base);
}
document.write(
  '<link rel="icon" href="assets/icon.svg">' +
    '<link rel="stylesheet" href="assets/page.css">' +
    '<script type="module" src="assets/page.js"><\/script>',
);
