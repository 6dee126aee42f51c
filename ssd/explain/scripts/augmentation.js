// Another set of results, of those that were drawn ahead, at each click.
section("augmentation", element => {
  const sets = [...element.querySelectorAll(".seeds")];
  element.querySelector("button").addEventListener("click", () => {
    const shown = sets.findIndex(each => !each.hidden);
    sets.forEach((each, k) => { each.hidden = k !== (shown + 1) % sets.length; });
  });
});
