"""The page to drop pictures on, which `ssd300 app` serves. Only `ssd.app.page` imports Gradio."""
