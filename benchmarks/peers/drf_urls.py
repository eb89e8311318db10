"""The routes of drf.py: Django wants them in a module of their own."""

from django.urls import path
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_simplejwt.views import TokenObtainPairView, TokenRefreshView


class Orders(APIView):
    permission_classes = (IsAuthenticated,)

    def get(self, request):
        return Response({"orders of": str(request.user.pk)})


urlpatterns = [
    path("token", TokenObtainPairView.as_view()),
    path("token/refresh", TokenRefreshView.as_view()),
    path("orders", Orders.as_view()),
]
