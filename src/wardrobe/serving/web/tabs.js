// Tabs, as in the ARIA Authoring Practices: arrow keys move, and only the selected tab is in the tab order.

/** Sets up tabs (buttons with aria-controls); calls `onSelect(tab)` after a change. Returns the function that selects a tab. */
export function createTabs(tabs, onSelect = () => {}) {
  function select(selected) {
    for (const tab of tabs) {
      tab.setAttribute("aria-selected", String(tab === selected));
      tab.tabIndex = tab === selected ? 0 : -1;
      document.getElementById(tab.getAttribute("aria-controls")).hidden = tab !== selected;
    }
    onSelect(selected);
  }
  tabs.forEach((tab, number) => {
    tab.addEventListener("click", () => select(tab));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step) return;
      const target = tabs[(number + step + tabs.length) % tabs.length];
      select(target);
      target.focus();
    });
  });
  return select;
}
