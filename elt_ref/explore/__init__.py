"""The explorer: trained models in one HTML file, where the JavaScript port runs them."""
