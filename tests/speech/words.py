"""How many words were misheard."""

import jiwer

# Numbers as the ear may write them, and as the sentences have them.
_NUMBERS = {r"\b7:00\b": "7 o'clock", r"\b4\b": "four", r"\b7\b": "seven", r"\b20\b": "twenty", r"\b50\b": "fifty"}
_WORDS = jiwer.Compose(
    [
        jiwer.ToLowerCase(),
        jiwer.SubstituteRegexes(_NUMBERS | {"-": " "}),
        jiwer.RemovePunctuation(),
        jiwer.RemoveMultipleSpaces(),
        jiwer.Strip(),
        jiwer.ReduceToListOfListOfWords(),
    ]
)


def word_errors(said: list[str], heard: list[str]) -> float:
    """The share of words that were taken for others, missed or made up, over all texts.

    Case and punctuation do not count.
    """
    return float(jiwer.wer(said, heard, reference_transform=_WORDS, hypothesis_transform=_WORDS))
