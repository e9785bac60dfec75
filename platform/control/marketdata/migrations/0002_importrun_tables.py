from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('marketdata', '0001_initial'),
    ]

    operations = [
        migrations.AddField(
            model_name='importrun',
            name='tables',
            field=models.JSONField(blank=True, default=dict),
        ),
    ]
