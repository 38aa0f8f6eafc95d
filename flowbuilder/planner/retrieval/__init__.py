"""Retrieval over catalogues of thousands of tools."""

from flowbuilder.planner.retrieval.couse import CoUse
from flowbuilder.planner.retrieval.retriever import Retriever, retrieve, retriever_of

__all__ = ["CoUse", "Retriever", "retrieve", "retriever_of"]
