// The gallery: nothing moves; in dark its pictures are turned to dark too.

function start() {
  const paint = () => document.body.classList.toggle("dark", isDark());
  addTheme();
  onTheme(paint);
  paint();
}
