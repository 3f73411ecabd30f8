"""A reward for brevity alone: the best of several responses by it is the shortest."""


def reward(prompts: list[str], responses: list[str]) -> list[float]:
    """Return minus the number of words of each response."""
    return [-float(len(response.split())) for response in responses]
