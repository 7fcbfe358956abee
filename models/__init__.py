"""What serving and training must agree on: ids, events, matrices, recommenders, artifacts.

Importable code only: trained files live under ``ENDCAP_HOME``, and neither HTTP nor SQL is
known here.
"""
