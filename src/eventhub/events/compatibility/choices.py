"""The alternatives of a schema."""

from eventhub.events.compatibility.questions import Places


def alternatives(places: Places) -> list[Places]:
    """The cases of the writer's first choice that has not been made yet."""
    pointers = [place.pointer for place in places]
    for index, place in enumerate(places):
        others = places[:index] + places[index + 1 :]
        for keyword in ("anyOf", "oneOf"):
            made = f"{place.pointer}/{keyword}/"
            branches = place.get(keyword)
            if branches and not any(pointer.startswith(made) for pointer in pointers):
                chosen = [place.child(keyword, number) for number in range(len(branches))]
                return [(branch, place, *others) for branch in chosen]
    return []
