import ai_integration
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

analyzer = SentimentIntensityAnalyzer()


def sentiment(text: str):
    """Tells how positive or negative an English text sounds."""
    return analyzer.polarity_scores(text)


ai_integration.run(sentiment)
