"""A reward for length alone: the best of several responses by it is the longest."""


def reward(prompts: list[str], responses: list[str]) -> list[float]:
    """Return the number of words of each response."""
    return [float(len(response.split())) for response in responses]
